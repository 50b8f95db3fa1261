#include "lib/diff/model_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "lib/base/file.h"
#include "lib/exec/float_program.h"
#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/runtime/qoperator.h"
#include "lib/runtime/quant_graph.h"
#include "lib/tensor/data_type.h"

namespace narrow::diff {
namespace {

constexpr int64_t kShownElements = 16;  // of an integer constant
constexpr size_t kDigits = 12;          // of a digest

/// Operators that a constant goes through with all its elements.
constexpr std::array<std::string_view, 6> kCarriers{"Cast", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"};

bool is_float_type(DataType type) {
  return type == DataType::kFloat32 || type == DataType::kFloat16 || type == DataType::kBfloat16 ||
         type == DataType::kFloat64;
}

Json attribute_json(const onnx::AttributeProto& attribute) {
  switch (attribute.type()) {
    case onnx::AttributeProto::INT:
      return attribute.i();
    case onnx::AttributeProto::FLOAT:
      return json_float(attribute.f());
    case onnx::AttributeProto::STRING:
      return attribute.s();
    case onnx::AttributeProto::INTS:
      return std::vector<int64_t>(attribute.ints().begin(), attribute.ints().end());
    default:
      return "sha256 " + sha256(attribute.SerializeAsString()).substr(0, kDigits);
  }
}

Json type_json(const graph::ValueType& type) {
  return {{"type", data_type_name(type.type)}, {"shape", type.shape ? shape_text(*type.shape) : "?"}};
}

/// What a value is made from, and the integers on the way.
struct Origin {
  std::string made_by;
  std::string integers;  // "uint8", "dynamic uint8"; "" where it is never quantized
  bool constant = false;
};

class GraphReader {
 public:
  GraphReader(const graph::Model& model, const onnx::GraphProto& graph, const std::map<std::string, Tensor>& known)
      : model_(model), graph_(graph), index_(graph), constants_(model, graph, known) {
    for (const onnx::NodeProto& node : graph.node()) fold(node);
  }

  void read(ModelFacts& facts) const {
    for (const onnx::NodeProto& node : graph_.node()) {
      if (node.op_type() == "QuantizeLinear") read_quantize(node, facts);
      if (supports(node)) {
        Json& count = facts.support[node.op_type()];
        count = count.is_null() ? 1 : count.get<int64_t>() + 1;
      } else {
        facts.nodes.push_back(node_facts(node));
      }
    }
  }

  void read_interface(ModelFacts& facts) const {
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      facts.inputs[input.name()] = type_json(index_.type(input.name()));
    }
    for (const onnx::ValueInfoProto& output : graph_.output()) {
      facts.outputs[output.name()] = type_json(index_.type(output.name()));
    }
  }

  /// Constants that a body reads from here.
  std::map<std::string, Tensor> known_in(const onnx::GraphProto& body) const {
    std::map<std::string, Tensor> known;
    for (const std::string& value : graph::captured_values(body)) {
      if (const Tensor* tensor = constants_.find(value)) known[value] = *tensor;
    }
    return known;
  }

 private:
  void fold(const onnx::NodeProto& node) {
    if (!exec::has_kernel(node.domain(), node.op_type()) || !constants_.can_fold(node)) return;
    try {
      constants_.fold(node, model_.opset(node.domain()));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
    }
  }

  bool is_float_cast(const onnx::NodeProto& node) const {
    return node.op_type() == "Cast" && is_float_type(index_.type(node.input(0)).type) &&
           is_float_type(index_.type(node.output(0)).type);
  }

  bool supports(const onnx::NodeProto& node) const {
    if (runtime::is_quantize(node) || runtime::is_dequantize(node)) return true;
    if (node.op_type() == "DynamicQuantizeLinear" || is_float_cast(node)) return true;
    return std::all_of(node.output().begin(), node.output().end(),
                       [&](const std::string& output) { return output.empty() || constants_.has(output); });
  }

  std::string type_name(const std::string& value) const {
    const Tensor* constant = constants_.find(value);
    return std::string(data_type_name(constant != nullptr ? constant->type() : index_.type(value).type));
  }

  Origin origin(std::string value) const {
    Origin origin;
    while (true) {
      origin.constant = constants_.has(value);
      const onnx::NodeProto* producer = index_.producer(value);
      if (origin.constant || producer == nullptr) break;
      if (runtime::is_dequantize(*producer)) {
        origin.integers = type_name(producer->input(0));
      } else if (producer->op_type() == "DynamicQuantizeLinear") {
        origin.integers = "dynamic uint8";
      } else if (!runtime::is_quantize(*producer) && !is_float_cast(*producer)) {
        break;
      }
      value = producer->input(0);
    }
    origin.made_by = origin.constant ? "constant" : value;
    if (const onnx::NodeProto* producer = index_.producer(value); producer != nullptr && !origin.constant) {
      const auto at =
          std::find(producer->output().begin(), producer->output().end(), value) - producer->output().begin();
      origin.made_by = graph::node_label(*producer) + (at == 0 ? "" : fmt::format(":{}", at));
    }
    return origin;
  }

  std::string stored_text(std::string value) const {
    const onnx::NodeProto* producer = index_.producer(value);
    while (producer != nullptr && producer->input_size() > 0 &&
           std::find(kCarriers.begin(), kCarriers.end(), producer->op_type()) != kCarriers.end()) {
      value = producer->input(0);
      producer = index_.producer(value);
    }
    if (producer == nullptr || producer->op_type() == "Constant") return type_name(value);
    if (!runtime::is_dequantize(*producer)) {
      return fmt::format("{} decoded by {}", stored_type(value), producer->op_type());
    }
    const Tensor* scale = constants_.find(producer->input(1));
    const int64_t block = graph::int_attribute(*producer, "block_size", 0);
    const std::string groups = block > 0                               ? fmt::format("per block of {}", block)
                               : scale != nullptr && scale->size() > 1 ? "per channel"
                                                                       : "per tensor";
    return fmt::format("{} {}", stored_type(producer->input(0)), groups);
  }

  /// The type of the largest constant that the value is computed from.
  std::string stored_type(const std::string& value) const {
    std::vector<std::string> open{value};
    std::set<std::string> seen;
    std::string type = type_name(value);
    size_t largest = 0;
    while (!open.empty()) {
      const std::string next = open.back();
      open.pop_back();
      if (!seen.insert(next).second) continue;
      const onnx::NodeProto* producer = index_.producer(next);
      if (producer != nullptr && producer->input_size() > 0) {
        open.insert(open.end(), producer->input().begin(), producer->input().end());
      } else if (const Tensor* tensor = constants_.find(next); tensor != nullptr && tensor->byte_size() > largest) {
        largest = tensor->byte_size();
        type = data_type_name(tensor->type());
      }
    }
    return type;
  }

  Json integer_constant(const Tensor& tensor) const {
    if (tensor.type() == DataType::kInt64 && tensor.size() <= kShownElements) {
      const auto values = tensor.data<int64_t>();
      return std::vector<int64_t>(values.begin(), values.end());
    }
    if (tensor.type() == DataType::kString || tensor.type() == DataType::kSequence) return "not compared";
    const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size());
    return fmt::format("{} {}, sha256 {}", data_type_name(tensor.type()), shape_text(tensor.shape()),
                       sha256(bytes).substr(0, kDigits));
  }

  NodeFacts node_facts(const onnx::NodeProto& node) const {
    NodeFacts facts{.name = graph::node_label(node), .op_type = node.op_type(), .fields = {}, .constants = {}};
    Json reads = Json::array();
    Json activations = Json::array();
    Json integers = Json::object();
    for (int i = 0; i < node.input_size(); ++i) {
      if (node.input(i).empty()) continue;
      const Origin from = origin(node.input(i));
      const Tensor* constant = from.constant ? constants_.find(node.input(i)) : nullptr;
      if (constant == nullptr) {
        reads.push_back(from.made_by);
        if (!from.integers.empty()) activations.push_back(from.integers);
      } else if (is_float_type(constant->type()) || constant->rank() >= 2) {
        facts.constants.push_back({i, stored_text(node.input(i)), *constant});
      } else {
        integers[std::to_string(i)] = integer_constant(*constant);
      }
    }
    facts.fields["op"] = node.op_type();
    if (node.output_size() > 0) facts.fields["type"] = data_type_name(index_.type(node.output(0)).type);
    facts.fields["activations"] = std::move(activations);
    facts.fields["reads"] = std::move(reads);
    facts.fields["attributes"] = Json::object();
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (!attribute.has_g()) facts.fields["attributes"][attribute.name()] = attribute_json(attribute);
    }
    facts.fields["inputs"] = std::move(integers);
    return facts;
  }

  void read_quantize(const onnx::NodeProto& node, ModelFacts& facts) const {
    const Tensor* scale = constants_.find(node.input(1));
    if (scale == nullptr || scale->size() != 1 || scale->type() != DataType::kFloat32) return;
    Json& value = facts.quantized[node.input(0)];
    value = {{"type", type_name(node.output(0))}, {"scale", json_float(scale->data<float>()[0])}};
    if (node.input_size() > 2 && constants_.has(node.input(2))) {
      value["zero_point"] = static_cast<int64_t>(to_float32(*constants_.find(node.input(2))).data<float>()[0]);
    }
  }

  const graph::Model& model_;
  const onnx::GraphProto& graph_;
  graph::GraphIndex index_;
  exec::Constants constants_;
};

void read_graph(const graph::Model& model, const onnx::GraphProto& graph, const std::map<std::string, Tensor>& known,
                ModelFacts& facts) {
  const GraphReader reader(model, graph, known);
  if (&graph == &model.graph()) reader.read_interface(facts);
  reader.read(facts);
  for (const onnx::NodeProto& node : graph.node()) {
    graph::for_each_subgraph(
        node, [&](const onnx::GraphProto& body) { read_graph(model, body, reader.known_in(body), facts); });
  }
}

}  // namespace

Json file_facts(const graph::Model& model) {
  Json facts{{"ir_version", model.proto().ir_version()}};
  for (const onnx::OperatorSetIdProto& opset : model.proto().opset_import()) {
    const std::string_view domain = graph::canonical_domain(opset.domain());
    facts["opset"][std::string(domain.empty() ? "ai.onnx" : domain)] = opset.version();
  }
  facts["producer"] = model.proto().producer_name();
  return facts;
}

ModelFacts facts_of(const graph::Model& model) {
  ModelFacts facts;
  facts.model = file_facts(model);
  const std::optional<graph::Model> spelled_out = runtime::qoperators_to_qdq(model);
  const graph::Model& read = spelled_out ? *spelled_out : model;
  read_graph(read, read.graph(), {}, facts);
  std::map<std::string, std::string> written;  // operator by node, as the file has it
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& n) { written[graph::node_label(n)] = n.op_type(); });
  for (NodeFacts& node : facts.nodes) {
    if (const auto found = written.find(node.name); found != written.end()) node.fields["op"] = found->second;
  }
  return facts;
}

}  // namespace narrow::diff
