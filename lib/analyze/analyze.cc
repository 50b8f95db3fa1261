#include "lib/analyze/analyze.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/analyze/groups.h"
#include "lib/analyze/macs.h"
#include "lib/analyze/stored_weight.h"
#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/graph/viewed_data.h"

namespace narrow::analyze {
namespace {

using ops::QuantRole;

class LayerBuilder {
 public:
  LayerBuilder(const graph::Model& model, const graph::GraphIndex& index) : model_(model), index_(index) {}

  Layer build(const onnx::NodeProto& node) const {
    Layer layer{.node = node.name(), .op_type = node.op_type(), .macs = count_macs(node, index_)};
    for (ConstantSlot& slot : find_stored_weights(model_, index_, node)) {
      const auto& dims = index_.initializer(slot.initializer)->dims();
      layer.parameters += element_count(Shape(dims.begin(), dims.end()));
      if (layer.stored_weight) {
        layer.more_stored.push_back(std::move(slot));
      } else {
        layer.stored_weight = std::move(slot);
      }
    }
    const ops::OpRow* row = ops::find_op(node);
    if (row == nullptr || row->role == QuantRole::kNever) {
      layer.reason =
          Reason{ReasonCode::kOperatorNotQuantized, row == nullptr ? node.op_type() : std::string(row->note)};
      return layer;
    }
    layer.role = row->role;
    layer.float_output = row->float_output;
    layer.reason = fill(node, *row, layer);
    return layer;
  }

 private:
  std::optional<Reason> fill(const onnx::NodeProto& node, const ops::OpRow& row, Layer& layer) const {
    const int activations = row.activation_inputs == ops::kAllInputs ? node.input_size() : row.activation_inputs;
    for (int i = 0; i < activations && i < node.input_size(); ++i) layer.activations.push_back(node.input(i));
    for (const std::string& output : node.output()) {
      // MaxPool's second output is indices; other rows have one kind of output.
      if (!output.empty() && (node.op_type() != "MaxPool" || layer.outputs.empty())) layer.outputs.push_back(output);
    }
    if (auto reason = check_types(layer)) return reason;
    if (row.role == QuantRole::kPassThrough) return check_data_movement(node);
    if (row.role == QuantRole::kWeighted) return fill_constants(node, row, layer);
    return std::nullopt;
  }

  std::optional<Reason> check_types(const Layer& layer) const {
    for (const auto* values : {&layer.activations, &layer.outputs}) {
      for (const std::string& value : *values) {
        const DataType type = index_.type(value).type;
        if (type == DataType::kFloat32) continue;
        return Reason{ReasonCode::kNotFloat, fmt::format("'{}' is {}", value, data_type_name(type))};
      }
    }
    return std::nullopt;
  }

  std::optional<Reason> fill_constants(const onnx::NodeProto& node, const ops::OpRow& row, Layer& layer) const {
    const std::string& weight = node.input(row.weight_input);
    const onnx::TensorProto* initializer = index_.initializer(weight);
    if (initializer == nullptr && node.op_type() == "MatMul") {  // two activations, as in attention
      layer.activations.push_back(weight);
      return check_types(layer);
    }
    if (initializer == nullptr) return Reason{ReasonCode::kWeightNotConstant, "'" + weight + "'"};
    const auto rank = static_cast<size_t>(initializer->dims_size());
    layer.weight = ConstantSlot{row.weight_input, weight, ops::weight_channel_axis(node, rank), {}};
    if (layer.stored_weight) layer.weight->block_axis = layer.stored_weight->block_axis;
    const bool checked = layer.stored_weight && layer.stored_weight->initializer == weight;
    if (checked) layer.weight->sum_axes = layer.stored_weight->sum_axes;
    if (!checked && !is_finite(weight))
      return Reason{ReasonCode::kDegenerateRange, "'" + weight + "' has NaN or infinity"};
    layer.weight_elements = element_count(graph::shape_of(*initializer));
    if (layer.weight_elements == 0) return Reason{ReasonCode::kDegenerateRange, "'" + weight + "' has no elements"};
    if (auto reason = check_gemm(node)) return reason;
    if (row.bias_input < 0 || node.input_size() <= row.bias_input || node.input(row.bias_input).empty()) {
      return std::nullopt;
    }
    return fill_bias(node, row.bias_input, layer);
  }

  bool is_finite(const std::string& initializer) const {
    return all_finite(model_.tensor(graph::as_stored(*index_.initializer(initializer))));
  }

  static std::optional<Reason> check_gemm(const onnx::NodeProto& node) {
    if (node.op_type() != "Gemm") return std::nullopt;
    if (graph::int_attribute(node, "transA", 0) != 0) return Reason{ReasonCode::kUnsupportedAttribute, "transA"};
    const bool scaled = graph::float_attribute(node, "alpha", 1) != 1 || graph::float_attribute(node, "beta", 1) != 1;
    if (scaled) return Reason{ReasonCode::kUnsupportedAttribute, "alpha or beta is not 1"};
    return std::nullopt;
  }

  std::optional<Reason> fill_bias(const onnx::NodeProto& node, int slot, Layer& layer) const {
    const std::string& bias = node.input(slot);
    const onnx::TensorProto* initializer = index_.initializer(bias);
    if (initializer == nullptr) return Reason{ReasonCode::kBiasNotConstant, "'" + bias + "'"};
    const bool plain = initializer->dims_size() == 1;
    if (!plain) {
      return Reason{ReasonCode::kUnsupportedAttribute,
                    fmt::format("bias '{}' has rank {}, not 1", bias, initializer->dims_size())};
    }
    if (!is_finite(bias)) return Reason{ReasonCode::kDegenerateRange, "'" + bias + "' has NaN or infinity"};
    layer.bias = ConstantSlot{slot, bias, 0, {}};
    return std::nullopt;
  }

  /// Data movement keeps its input's parameters only if it makes no new numbers.
  std::optional<Reason> check_data_movement(const onnx::NodeProto& node) const {
    if (node.op_type() == "Resize" && graph::string_attribute(node, "mode", "nearest") != "nearest") {
      return Reason{ReasonCode::kUnsupportedAttribute, "interpolation makes new numbers"};
    }
    if (node.op_type() == "Pad") return check_pad(node);
    if (node.op_type() == "Gather" && index_.initializer(node.input(0)) != nullptr) {
      return Reason{ReasonCode::kOperatorNotQuantized, "it looks up a constant table"};
    }
    return std::nullopt;
  }

  std::optional<Reason> check_pad(const onnx::NodeProto& node) const {
    if (graph::string_attribute(node, "mode", "constant") != "constant") return std::nullopt;
    if (node.input_size() < 3 || node.input(2).empty()) return std::nullopt;
    const onnx::TensorProto* value = index_.initializer(node.input(2));
    if (value != nullptr) {
      const Tensor tensor = to_float32(model_.tensor(*value));
      if (tensor.size() == 1 && tensor.data<float>()[0] == 0) return std::nullopt;
    }
    return Reason{ReasonCode::kUnsupportedAttribute, "it pads with a value that is not constant 0"};
  }

  const graph::Model& model_;
  const graph::GraphIndex& index_;
};

/// A clamp whose input only it reads can vanish into what makes that input.
void find_clamp_producers(const graph::GraphIndex& index, Analysis& analysis) {
  for (const Layer& layer : analysis.layers) {
    if (layer.role != QuantRole::kClamp || layer.reason) continue;
    const std::string& input = layer.activations[0];
    const onnx::NodeProto* producer = index.producer(input);
    if (producer == nullptr || index.is_output(input) || index.uses(input).size() != 1) continue;
    if (index.graph_of(*producer) != index.graph_of(*index.node(layer.node))) continue;
    const Layer* made_by = analysis.layer(producer->name());
    const bool own_range = made_by->role == QuantRole::kWeighted || made_by->role == QuantRole::kElementwise;
    if (!made_by->reason && own_range) analysis.clamp_producer[layer.node] = producer->name();
  }
}

}  // namespace

const Layer* Analysis::layer(const std::string& node) const {
  const auto found = layer_of.find(node);
  return found == layer_of.end() ? nullptr : &layers[found->second];
}

const ValueGroup& Analysis::group(const std::string& value) const {
  const auto found = group_of.find(value);
  ensure(found != group_of.end(), "every quantizable value is in a group");
  return groups[found->second];
}

namespace {

/// Node -> the nodes whose bodies it stands in.
using Owners = std::map<std::string, std::vector<std::string>>;

void note_owners(const onnx::GraphProto& graph, const std::vector<std::string>& around, Owners& owners) {
  for (const onnx::NodeProto& node : graph.node()) {
    if (!around.empty()) owners.emplace(node.name(), around);
    std::vector<std::string> inside = around;
    inside.push_back(node.name());
    graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) { note_owners(body, inside, owners); });
  }
}

}  // namespace

Analysis analyze(const graph::Model& model) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  const LayerBuilder builder(model, index);
  Analysis analysis;
  std::map<std::string, int64_t> depths;  // of values
  Owners owners;
  note_owners(model.graph(), {}, owners);
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    analysis.layer_of.emplace(node.name(), analysis.layers.size());
    Layer& layer = analysis.layers.emplace_back(builder.build(node));
    layer.reads = graph::reads_of(node);
    layer.makes.assign(node.output().begin(), node.output().end());
    // Absent values have one name, "", and connect nothing.
    for (auto* values : {&layer.reads, &layer.makes}) std::erase(*values, "");
    if (const auto found = owners.find(node.name()); found != owners.end()) layer.inside = found->second;
    for (const std::string& value : layer.reads) {
      if (const auto depth = depths.find(value); depth != depths.end())
        layer.depth = std::max(layer.depth, depth->second + 1);
    }
    for (const std::string& value : layer.makes) depths[value] = layer.depth;
  });
  find_clamp_producers(index, analysis);
  group_values(model, index, analysis);
  return analysis;
}

}  // namespace narrow::analyze
