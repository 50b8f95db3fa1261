#include "lib/graph/raise_opset.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/edit.h"
#include "lib/graph/model.h"
#include "lib/graph/old_meaning.h"
#include "lib/graph/onnx_api.h"
#include "lib/graph/schemas.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

// The converter copies every tensor several times and looks only into small ones (shapes, axes, scales).
constexpr size_t kLargestCopied = 4096;
constexpr int64_t kBatchedScan = 8;

size_t stored_bytes(const onnx::TensorProto& tensor) {
  return tensor.raw_data().size() + static_cast<size_t>(tensor.float_data_size()) * sizeof(float);
}

int64_t* opset_of(onnx::ModelProto& model, int64_t& version) {
  for (auto& import : *model.mutable_opset_import()) {
    if (!canonical_domain(import.domain()).empty()) continue;
    version = import.version();
    return &version;
  }
  return nullptr;
}

/// The model with its large tensors emptied.
onnx::ModelProto lighten(const onnx::ModelProto& model) {
  onnx::ModelProto light = model;
  light.clear_metadata_props();
  // Before version 4 the converter knows only those initializers that are inputs too; files do not keep to it.
  light.set_ir_version(std::max<int64_t>(light.ir_version(), 4));
  for (onnx::TensorProto& tensor : *light.mutable_graph()->mutable_initializer()) {
    if (stored_bytes(tensor) <= kLargestCopied && tensor.data_location() != onnx::TensorProto::EXTERNAL) continue;
    tensor.clear_float_data();
    tensor.clear_external_data();
    tensor.clear_data_location();
    tensor.set_raw_data("");
  }
  return light;
}

std::string converter_reason(std::string_view text) {
  // "...convert.h:86: adapter_lookup: Assertion `...` failed: reason" -> reason
  const size_t marker = text.rfind("failed: ");
  std::string reason(marker == std::string_view::npos ? text : text.substr(marker + 8));
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  return reason;
}

onnx::ModelProto convert(const onnx::ModelProto& light, int opset) {
  try {
    return onnx::version_conversion::ConvertVersion(light, opset);
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kUnsupported, "can not be brought to opset {}: {}", opset, converter_reason(error.what()));
  }
}

bool resizes(const onnx::NodeProto& node) {
  return canonical_domain(node.domain()).empty() && (node.op_type() == "Resize" || node.op_type() == "Upsample");
}

bool defines(const onnx::GraphProto& graph, const std::string& value) {
  const auto named = [&](const auto& info) { return info.name() == value; };
  const auto makes = [&](const auto& node) {
    return std::find(node.output().begin(), node.output().end(), value) != node.output().end();
  };
  return std::any_of(graph.input().begin(), graph.input().end(), named) ||
         std::any_of(graph.initializer().begin(), graph.initializer().end(), named) ||
         std::any_of(graph.node().begin(), graph.node().end(), makes);
}

/// Whatever reads the value, in bodies too unless they have one of that name.
void rename_uses(onnx::GraphProto& graph, const std::string& from, const std::string& to) {
  for (onnx::ValueInfoProto& output : *graph.mutable_output()) {
    if (output.name() == from) output.set_name(to);
  }
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    std::replace(node.mutable_input()->begin(), node.mutable_input()->end(), from, to);
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g() && !defines(attribute.g(), from)) rename_uses(*attribute.mutable_g(), from, to);
    }
  }
}

/// The converter makes a new node of an Upsample and, but of a graph's output, a new value of its result. Their order
/// stays.
void keep_names(const onnx::GraphProto& before, onnx::GraphProto& after) {
  std::vector<const onnx::GraphProto*> graphs;
  for_each_graph(before, [&](const onnx::GraphProto& graph) { graphs.push_back(&graph); });
  size_t at = 0;
  for_each_graph(after, [&](onnx::GraphProto& graph) {
    std::vector<const onnx::NodeProto*> originals;
    if (at < graphs.size()) {
      for (const onnx::NodeProto& node : graphs[at]->node()) {
        if (resizes(node)) originals.push_back(&node);
      }
    }
    ++at;
    size_t next = 0;
    for (onnx::NodeProto& node : *graph.mutable_node()) {
      if (!resizes(node)) continue;
      ensure(next < originals.size(), "the converter adds a Resize");
      const onnx::NodeProto& original = *originals[next++];
      node.set_name(original.name());
      if (node.output(0) == original.output(0)) continue;
      rename_uses(graph, node.output(0), original.output(0));
      node.set_output(0, original.output(0));
    }
  });
}

/// A node by what the converter leaves of it: its name and the first output that has one.
std::string node_key(const onnx::NodeProto& node) {
  const auto named = [](const std::string& output) { return !output.empty(); };
  const auto output = std::find_if(node.output().begin(), node.output().end(), named);
  return node.name() + '\0' + (output == node.output().end() ? std::string() : *output);
}

/// What users and exporters say about nodes, which the converter does not know.
void keep_notes(const onnx::GraphProto& before, onnx::GraphProto& after) {
  std::unordered_map<std::string, const onnx::NodeProto*> originals;
  for_each_node(before, [&](const onnx::NodeProto& node) { originals.emplace(node_key(node), &node); });
  for_each_mutable_node(after, [&](onnx::NodeProto& node) {
    const auto found = originals.find(node_key(node));
    if (found == originals.end()) return;
    if (node.metadata_props_size() == 0) *node.mutable_metadata_props() = found->second->metadata_props();
    if (node.doc_string().empty() && found->second->has_doc_string()) node.set_doc_string(found->second->doc_string());
  });
}

/// The converter does not know that Scan had a batch in opset 8, in its states and in what it reads.
void refuse_batched_scans(const onnx::GraphProto& graph) {
  for_each_node(graph, [](const onnx::NodeProto& node) {
    if (node.op_type() != "Scan" || !canonical_domain(node.domain()).empty()) return;
    throw Error(ErrorKind::kUnsupported, "node '{}' (Scan): Scan of opset 8 has no form in later opsets",
                node_label(node));
  });
}

/// The converter refuses what ONNX has no schema of, but passes by nodes of domains that it does not know, if the model
/// imports them.
void hide_kept_nodes(onnx::ModelProto& model, int from, int to) {
  for_each_mutable_node(*model.mutable_graph(), [&](onnx::NodeProto& node) {
    if (!canonical_domain(node.domain()).empty()) return;
    if (onnx::OpSchemaRegistry::Schema(node.op_type(), from, "") != nullptr) return;
    if (find_schema(node, from) == nullptr) {
      throw Error(ErrorKind::kUnsupported,
                  "node '{}' ({}): there is no such operator in opset {}, so that it can not be brought to opset {}",
                  node_label(node), node.op_type(), from, to);
    }
    node.set_domain(std::string(kKeptDomain));
  });
  onnx::OperatorSetIdProto& import = *model.add_opset_import();
  import.set_domain(std::string(kKeptDomain));
  import.set_version(1);
}

void show_kept_nodes(onnx::ModelProto& model) {
  model.mutable_opset_import()->RemoveLast();
  for_each_mutable_node(*model.mutable_graph(), [](onnx::NodeProto& node) {
    if (node.domain() == kKeptDomain) node.clear_domain();
  });
}

}  // namespace

onnx::ModelProto raise_opset(const onnx::ModelProto& original, int opset) {
  int64_t current = 0;
  onnx::ModelProto model = original;
  if (opset_of(model, current) == nullptr || current >= opset) return model;
  if (current == kBatchedScan) refuse_batched_scans(model.graph());
  make_names_unique(*model.mutable_graph());  // what is kept is found by names
  hide_kept_nodes(model, static_cast<int>(current), opset);
  onnx::ModelProto result = model;
  onnx::ModelProto converted = convert(lighten(model), opset);
  keep_names(model.graph(), *converted.mutable_graph());
  keep_notes(model.graph(), *converted.mutable_graph());

  std::unordered_map<std::string, const onnx::TensorProto*> originals;
  for (const onnx::TensorProto& tensor : model.graph().initializer()) originals[tensor.name()] = &tensor;
  onnx::GraphProto& graph = *result.mutable_graph();
  graph.mutable_node()->Swap(converted.mutable_graph()->mutable_node());
  graph.clear_value_info();  // of the old opset; inferred anew
  graph.clear_initializer();
  for (const onnx::TensorProto& tensor : converted.graph().initializer()) {
    const auto found = originals.find(tensor.name());
    *graph.add_initializer() = found == originals.end() ? tensor : *found->second;
  }
  for (auto& import : *result.mutable_opset_import()) {
    if (canonical_domain(import.domain()).empty()) import.set_version(opset);
  }
  keep_old_meaning(model, static_cast<int>(current), opset, result);
  show_kept_nodes(result);
  return result;
}

}  // namespace narrow::graph
