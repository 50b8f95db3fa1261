#include "lib/graph/raise_opset.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/model.h"
#include "lib/graph/onnx_api.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

// The converter copies every tensor several times and looks only into small ones (shapes, axes, scales).
constexpr size_t kLargestCopied = 4096;

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

/// A node by what the converter leaves of it.
std::string node_key(const onnx::NodeProto& node) {
  return node.name() + '\0' + (node.output_size() == 0 ? std::string() : node.output(0));
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

constexpr int kSpelledResize = 11;  // opset whose Resize has attributes for what was fixed before

void set_string_attribute(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

/// Tensors that a graph and its bodies hold as constants, by the values that they are.
std::unordered_map<std::string, const onnx::TensorProto*> constants_of(const onnx::GraphProto& main) {
  std::unordered_map<std::string, const onnx::TensorProto*> constants;
  for_each_graph(main, [&](const onnx::GraphProto& graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) constants[tensor.name()] = &tensor;
    for (const onnx::NodeProto& node : graph.node()) {
      const onnx::AttributeProto* value = node.op_type() == "Constant" ? find_attribute(node, "value") : nullptr;
      if (value != nullptr) constants[node.output(0)] = &value->t();
    }
  });
  return constants;
}

/// Nearest took the sample below where an image grew, and the one above where it shrank; of scales that only a run
/// tells, growing is taken for granted. Throws Error(kUnsupported) where one node does both.
std::string old_nearest_mode(const onnx::NodeProto& node,
                             const std::unordered_map<std::string, const onnx::TensorProto*>& constants) {
  const auto scales = node.input_size() > 1 ? constants.find(node.input(1)) : constants.end();
  if (scales == constants.end() || scales->second->data_location() == onnx::TensorProto::EXTERNAL) return "floor";
  const Tensor values = embedded_tensor(*scales->second);
  if (values.type() != DataType::kFloat32) return "floor";
  const auto shrinks = [](float scale) { return scale < 1; };
  const auto grows = [](float scale) { return scale > 1; };
  const auto numbers = values.data<float>();
  if (std::none_of(numbers.begin(), numbers.end(), shrinks)) return "floor";
  if (std::none_of(numbers.begin(), numbers.end(), grows)) return "ceil";
  throw Error(ErrorKind::kUnsupported,
              "node '{}' (Resize): nearest samples of an image that grows along one axis and shrinks along another; "
              "newer opsets can not say what opset 10 does",
              node_label(node));
}

/// The converter leaves Resize and Upsample of opset 10 and before to the defaults of opset 11, which are others.
void keep_old_resizing(const onnx::GraphProto& before, onnx::GraphProto& after) {
  std::unordered_map<std::string, const onnx::NodeProto*> originals;
  for_each_node(before, [&](const onnx::NodeProto& node) {
    const bool resizes = node.op_type() == "Resize" || node.op_type() == "Upsample";
    if (resizes && canonical_domain(node.domain()).empty()) originals.emplace(node.output(0), &node);
  });
  if (originals.empty()) return;
  const auto constants = constants_of(before);
  for_each_mutable_node(after, [&](onnx::NodeProto& node) {
    // By its output: an Upsample's name is lost on the way.
    const auto found = node.op_type() == "Resize" ? originals.find(node.output(0)) : originals.end();
    if (found == originals.end()) return;
    if (node.name().empty()) node.set_name(found->second->name());
    set_string_attribute(node, "coordinate_transformation_mode", "asymmetric");
    const bool nearest = string_attribute(node, "mode", "nearest") == "nearest";
    if (nearest) set_string_attribute(node, "nearest_mode", old_nearest_mode(*found->second, constants));
  });
}

constexpr int kOneAxisHardmax = 13;  // opset whose Hardmax takes the largest along one axis

/// Before, all axes from `axis` on were one; the converter knows it of Softmax, not of Hardmax.
///
/// Before:  y = Hardmax <axis> (x)
/// After:   s = Shape (x);  f = Flatten <axis> (x);  h = Hardmax <-1> (f);  y = Reshape (h, s)
void keep_old_hardmax(onnx::ModelProto& proto) {
  Model model(std::move(proto));
  std::vector<std::pair<onnx::GraphProto*, std::string>> found;  // by output: adding nodes moves them
  for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
    for (const onnx::NodeProto& node : graph.node()) {
      if (node.op_type() == "Hardmax") found.emplace_back(&graph, node.output(0));
    }
  });
  GraphEditor editor(model);
  for (const auto& [graph, output] : found) {
    editor.edit(*graph);
    const auto node_of = [&, graph = graph, output = output]() -> onnx::NodeProto& {
      return *std::find_if(graph->mutable_node()->begin(), graph->mutable_node()->end(),
                           [&](const auto& node) { return node.output_size() > 0 && node.output(0) == output; });
    };
    const int64_t axis = int_attribute(node_of(), "axis", 1);
    const std::string input = node_of().input(0);
    const auto made = [&, output = output](const char* suffix) { return editor.unique_name(output + suffix); };
    const std::string shape = made("_shape");
    const std::string flat = made("_flat");
    const std::string hard = made("_hard");
    editor.add_node("Shape", shape + "_Shape", {input}, {shape});
    set_int_attribute(editor.add_node("Flatten", flat + "_Flatten", {input}, {flat}), "axis", axis);
    editor.add_node("Reshape", output + "_Reshape", {hard, shape}, {output});
    onnx::NodeProto& node = node_of();  // the older of the two that make it
    node.set_input(0, flat);
    node.set_output(0, hard);
    set_int_attribute(node, "axis", -1);
  }
  if (!found.empty()) editor.finish();
  proto = std::move(model.mutable_proto());
}

}  // namespace

onnx::ModelProto raise_opset(const onnx::ModelProto& model, int opset) {
  int64_t current = 0;
  onnx::ModelProto result = model;
  if (opset_of(result, current) == nullptr || current >= opset) return result;
  onnx::ModelProto converted = convert(lighten(model), opset);
  keep_notes(model.graph(), *converted.mutable_graph());
  if (current < kSpelledResize && opset >= kSpelledResize) {
    keep_old_resizing(model.graph(), *converted.mutable_graph());
  }

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
  if (current < kOneAxisHardmax && opset >= kOneAxisHardmax) keep_old_hardmax(result);
  return result;
}

}  // namespace narrow::graph
