#include "lib/rewrite/qdq.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/quant/quant_params.h"

namespace narrow::rewrite {
namespace {

Tensor zero_point_tensor(const quant::QuantParams& params, const Shape& shape) {
  Tensor result(quant::row(params.type).storage, shape);
  const size_t width = result.byte_size() / params.zero_points.size();
  // Little-endian two's complement: the low bytes of an int32 are the narrower integer.
  for (size_t i = 0; i < params.zero_points.size(); ++i) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&params.zero_points[i]);
    std::copy(bytes, bytes + width, result.mutable_bytes() + i * width);
  }
  return result;
}

class QdqWriter {
 public:
  QdqWriter(const graph::Model& original, graph::Model& model, const plan::PrecisionPlan& plan)
      : original_(original), index_(original.graph()), plan_(plan), editor_(model) {
    for (const plan::ValuePlan& value : plan.values) values_[value.value] = &value;
    for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) {
      nodes_[node.name()] = &node;
      for (const std::string& output : node.output()) makers_[output] = &node;
    }
  }

  void write() {
    remove_folded_clamps();
    // Weights first: they are found by the names that the plan knows.
    for (const plan::LayerPlan& layer : plan_.layers) {
      if (layer.weight) quantize_weight(layer);
    }
    for (const plan::ValuePlan& value : plan_.values) dequantize_for_readers(value);
    // Readers first, then the nodes that they must not take for readers.
    editor_.redirect_uses(redirections_);
    for (const PendingPair& pair : pairs_) add_pair(pair);
    editor_.finish();
  }

 private:
  struct PendingPair {
    const plan::ValuePlan* plan = nullptr;
    std::string real;
    std::string dequantized;
  };

  // Before:  t = Conv (...);  y = Relu (t);  ... y
  // After:   y = Conv (...);  ... y          (the Q behind y clamps as Relu does; check_plan proved it)
  void remove_folded_clamps() {
    for (const plan::LayerPlan& layer : plan_.layers) {
      if (layer.decision != plan::Decision::kFold) continue;
      const onnx::NodeProto& clamp = *nodes_.at(layer.node);
      rename_result(clamp.input(0), clamp.output(0));
      editor_.remove_node(&clamp);
    }
  }

  // Before:  y = Conv (x, W, b)
  // After:   y = Conv (x, DequantizeLinear (W_quantized), DequantizeLinear (b_quantized))
  void quantize_weight(const plan::LayerPlan& layer) {
    onnx::NodeProto& node = *nodes_.at(layer.node);
    const plan::WeightPlan& weight = *layer.weight;
    node.set_input(weight.input, dequantized_constant(weight.initializer, weight.params));
    if (!layer.bias_input) return;
    const std::string bias = node.input(*layer.bias_input);
    const quant::QuantParams& source = values_.at(layer.activations.at(0))->params;
    node.set_input(*layer.bias_input, dequantized_constant(bias, bias_params(weight.params, source, bias)));
  }

  quant::QuantParams bias_params(const quant::QuantParams& weight, const quant::QuantParams& source,
                                 const std::string& bias) const {
    quant::QuantParams params{.type = quant::QuantType::kInt32};
    if (weight.axis) params.axis = 0;
    for (const float scale : weight.scales) params.scales.push_back(source.scales[0] * scale);
    params.zero_points.assign(params.scales.size(), 0);
    ensure(!params.axis || initializer(bias).shape()[0] == static_cast<int64_t>(params.scales.size()),
           "a bias has as many elements as the weight has channels");
    return params;
  }

  /// The value behind DequantizeLinear for a float initializer; layers that agree on the parameters share it.
  std::string dequantized_constant(const std::string& name, const quant::QuantParams& params) {
    auto& made = constants_[name];
    for (const auto& [known, value] : made) {
      if (known == params) return value;
    }
    const std::string quantized =
        editor_.add_initializer(name + "_quantized", quant::quantize(initializer(name), params));
    original_.release_weights();
    std::string value = add_dequantize(name, quantized, params, editor_.unique_name(name + "_dequantized"));
    made.emplace_back(params, value);
    return value;
  }

  Tensor initializer(const std::string& name) const { return original_.tensor(*index_.initializer(name)); }

  // Before:  x = Conv (...);  y = Relu (x)
  // After:   x = Conv (...);  q = QuantizeLinear (x);  d = DequantizeLinear (q);  y = Relu (d)
  // A graph output x keeps its name: the producer's result is renamed, and the DequantizeLinear makes x.
  void dequantize_for_readers(const plan::ValuePlan& plan) {
    const std::string& value = plan.value;
    if (index_.initializer(value) != nullptr) {
      quantize_operand(value, dequantized_constant(value, plan.params));
      return;
    }
    if (index_.is_output(value) && !index_.is_input(value)) {
      const std::string real = editor_.unique_name(value + "_real");
      rename_result(value, real);
      pairs_.push_back({&plan, real, value});
      return;
    }
    const std::string dequantized = editor_.unique_name(value + "_dequantized");
    // Float readers of a graph input can have it as it is; a computed value must have one reader to fuse.
    if (index_.is_input(value)) {
      quantize_operand(value, dequantized);
    } else {
      redirections_[value] = dequantized;
    }
    pairs_.push_back({&plan, value, dequantized});
  }

  /// Only the planned layers read the value in quantized form; others keep the float one.
  void quantize_operand(const std::string& value, const std::string& dequantized) {
    for (const plan::LayerPlan& layer : plan_.layers) {
      const auto& reads = layer.activations;
      if (std::find(reads.begin(), reads.end(), value) == reads.end()) continue;
      for (std::string& input : *nodes_.at(layer.node)->mutable_input()) {
        if (input == value) input = dequantized;
      }
    }
  }

  void add_pair(const PendingPair& pair) {
    const std::string& value = pair.plan->value;
    const Parameters names = add_parameters(value, pair.plan->params);
    const std::string quantized = editor_.unique_name(value + "_quantized");
    editor_.add_node("QuantizeLinear", value + "_QuantizeLinear", {pair.real, names.scale, names.zero_point},
                     {quantized});
    editor_.add_node("DequantizeLinear", value + "_DequantizeLinear", {quantized, names.scale, names.zero_point},
                     {pair.dequantized});
  }

  void rename_result(const std::string& from, const std::string& to) {
    const auto maker = makers_.extract(from);
    ensure(!maker.empty(), "a renamed value has a producer");
    for (std::string& output : *maker.mapped()->mutable_output()) {
      if (output == from) output = to;
    }
    makers_[to] = maker.mapped();
  }

  struct Parameters {
    std::string scale;
    std::string zero_point;  // "" where it may be left out
  };

  Parameters add_parameters(const std::string& name, const quant::QuantParams& params) {
    const Shape shape = params.axis ? Shape{static_cast<int64_t>(params.scales.size())} : Shape{};
    const Tensor scales = Tensor::of<float>(shape, std::span<const float>(params.scales));
    Parameters names{.scale = shared_initializer(name + "_scale", scales)};
    // DequantizeLinear of int32 allows no zero point but 0, so none is stored.
    if (params.type != quant::QuantType::kInt32) {
      names.zero_point = shared_initializer(name + "_zero_point", zero_point_tensor(params, shape));
    }
    return names;
  }

  /// Equal parameters are stored once: values that share a scale, and the zeros behind every symmetric weight.
  std::string shared_initializer(const std::string& wanted, const Tensor& tensor) {
    const std::string bytes(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size());
    std::string& name = parameters_[{tensor.type(), tensor.shape(), bytes}];
    if (name.empty()) name = editor_.add_initializer(wanted, tensor);
    return name;
  }

  std::string add_dequantize(const std::string& name, const std::string& quantized, const quant::QuantParams& params,
                             const std::string& output) {
    const Parameters names = add_parameters(name, params);
    std::vector<std::string> inputs{quantized, names.scale};
    if (!names.zero_point.empty()) inputs.push_back(names.zero_point);
    onnx::NodeProto& node = editor_.add_node("DequantizeLinear", name + "_DequantizeLinear", inputs, {output});
    if (params.axis) graph::set_int_attribute(node, "axis", *params.axis);
    return output;
  }

  const graph::Model& original_;
  graph::GraphIndex index_;  // of the original
  const plan::PrecisionPlan& plan_;
  graph::GraphEditor editor_;
  std::unordered_map<std::string, const plan::ValuePlan*> values_;
  std::unordered_map<std::string, onnx::NodeProto*> nodes_;
  std::unordered_map<std::string, onnx::NodeProto*> makers_;
  graph::GraphEditor::Redirections redirections_;
  std::vector<PendingPair> pairs_;
  std::unordered_map<std::string, std::vector<std::pair<quant::QuantParams, std::string>>> constants_;
  std::map<std::tuple<DataType, Shape, std::string>, std::string> parameters_;
};

}  // namespace

graph::Model rewrite_to_qdq(const graph::Model& model, const plan::PrecisionPlan& plan) {
  plan::check_plan(plan, model);
  graph::Model result = model;
  QdqWriter(model, result, plan).write();
  return result;
}

}  // namespace narrow::rewrite
