// The model's side of align.h: nodes in front of convolutions, whose constants take them back.
#include <algorithm>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/recover/align.h"
#include "lib/recover/align_place.h"

namespace narrow::recover {
namespace {

constexpr size_t kBias = 2;

/// [1, C, 1, ...] of the rank that the convolution reads.
Tensor by_channel(const std::vector<float>& numbers, int rank) {
  Shape shape(static_cast<size_t>(rank), 1);
  shape[1] = static_cast<int64_t>(numbers.size());
  return Tensor::of<float>(shape, std::span<const float>(numbers));
}

/// Weights of aligned values: divided by the factors, and the sum of what the shifts add.
struct TakenBack {
  Tensor weight;
  std::vector<double> sums;  // by output
};

TakenBack take_back(const Tensor& weight, const plan::AlignedInput& input) {
  TakenBack result{.weight = Tensor(DataType::kFloat32, weight.shape()),
                   .sums = std::vector<double>(static_cast<size_t>(weight.shape()[0]))};
  const auto from = weight.data<float>();
  const auto to = result.weight.mutable_data<float>();
  const auto channels = static_cast<size_t>(weight.shape()[1]);
  const size_t per_output = from.size() / result.sums.size();
  const size_t taps = per_output / channels;
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t channel = i / taps % channels;
    const double factor = input.factors.empty() ? 1 : static_cast<double>(input.factors[channel]);
    const double shift = input.shifts.empty() ? 0 : static_cast<double>(input.shifts[channel]);
    const double value = static_cast<double>(from[i]) / factor;
    to[i] = static_cast<float>(value);
    result.sums[i / per_output] += value * shift;
  }
  return result;
}

class Aligner {
 public:
  explicit Aligner(graph::Model& model) : model_(model), editor_(model) {}

  void align(const graph::GraphIndex& index, const Place& place, const plan::AlignedInput& input) {
    if (input.factors.empty() && input.shifts.empty()) return;
    onnx::NodeProto& node = *own_node(place.convolution->name());
    const Tensor weight = constant(node.input(1));
    const int rank = static_cast<int>(weight.shape().size());
    start(index, input.value);
    if (needs_pad(node, input)) pad(node, input, rank);
    if (!input.factors.empty()) {
      add("Mul", {value_, editor_.add_initializer(input.value + "_factors", by_channel(input.factors, rank))},
          input.shifts.empty());
    }
    if (!input.shifts.empty()) {
      add("Add", {value_, editor_.add_initializer(input.value + "_shifts", by_channel(input.shifts, rank))}, true);
    }
    own_node(place.convolution->name())->set_input(0, value_);
    change_constants(*own_node(place.convolution->name()), weight, input);
  }

  void finish() { editor_.finish(); }

 private:
  /// Nodes move when others are added.
  onnx::NodeProto* own_node(const std::string& name) {
    auto& nodes = *model_.mutable_graph().mutable_node();
    const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const auto& node) { return node.name() == name; });
    ensure(found != nodes.end(), "the convolution is in its model");
    return &*found;
  }

  Tensor constant(const std::string& name) const {
    const graph::GraphIndex index(model_.graph());
    return model_.tensor(*index.initializer(name));
  }

  void add(const std::string& op_type, const std::vector<std::string>& inputs, bool is_last) {
    const std::string output = is_last ? last_ : editor_.unique_name(last_ + "_" + op_type + "_output");
    editor_.add_node(op_type, last_ + "_" + op_type, inputs, {output});
    value_ = output;
    info_.set_name(output);
    *model_.mutable_graph().add_value_info() = info_;
  }

  /// As float32 of the shape of `value`, where that is known.
  void start(const graph::GraphIndex& index, const std::string& value) {
    value_ = value;
    last_ = aligned_name(value);
    info_ = {};
    auto& tensor = *info_.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx::TensorProto::FLOAT);
    const graph::ValueType type = index.type(value);
    if (!type.shape) return;
    for (const int64_t size : *type.shape) {
      auto& dimension = *tensor.mutable_shape()->add_dim();
      if (size >= 0) dimension.set_dim_value(size);
    }
  }

  void pad(onnx::NodeProto& node, const plan::AlignedInput& input, int rank) {
    const std::vector<int64_t> pads = graph::ints_attribute(node, "pads");
    const auto axes = static_cast<size_t>(rank - 2);
    std::vector<int64_t> all(static_cast<size_t>(rank) * 2, 0);
    for (size_t i = 0; i < axes; ++i) {
      all[2 + i] = pads[i];
      all[static_cast<size_t>(rank) + 2 + i] = pads[axes + i];
      widen(2 + i, pads[i] + pads[axes + i]);
    }
    graph::set_ints_attribute(node, "pads", std::vector<int64_t>(pads.size(), 0));
    const Tensor amounts = Tensor::of<int64_t>({rank * 2}, std::span<const int64_t>(all));
    add("Pad", {value_, editor_.add_initializer(input.value + "_pads", amounts)}, false);
  }

  void widen(size_t axis, int64_t amount) {
    auto& tensor = *info_.mutable_type()->mutable_tensor_type();
    if (!tensor.has_shape()) return;
    auto& dimension = *tensor.mutable_shape()->mutable_dim(static_cast<int>(axis));
    if (dimension.has_dim_value()) dimension.set_dim_value(dimension.dim_value() + amount);
  }

  void change_constants(onnx::NodeProto& node, const Tensor& weight, const plan::AlignedInput& input) {
    TakenBack taken = take_back(weight, input);
    const bool has_bias = node.input_size() > static_cast<int>(kBias) && !node.input(kBias).empty();
    Tensor bias(DataType::kFloat32, {static_cast<int64_t>(taken.sums.size())});
    const Tensor before = has_bias ? constant(node.input(kBias)) : Tensor();
    for (size_t i = 0; i < taken.sums.size(); ++i) {
      const double old = has_bias ? static_cast<double>(before.data<float>()[i]) : 0;
      bias.mutable_data<float>()[i] = static_cast<float>(old - taken.sums[i]);
    }
    node.set_input(1, editor_.add_initializer(node.input(1) + "_aligned", taken.weight));
    while (node.input_size() <= static_cast<int>(kBias)) node.add_input("");
    const std::string wanted = has_bias ? node.input(kBias) + "_aligned" : node.name() + "_aligned_bias";
    node.set_input(kBias, editor_.add_initializer(wanted, bias));
  }

  graph::Model& model_;
  graph::GraphEditor editor_;
  std::string value_;          // that the next added node reads
  std::string last_;           // that the convolution reads
  onnx::ValueInfoProto info_;  // of what the next added node makes
};

}  // namespace

graph::Model align(const graph::Model& model, const std::vector<plan::AlignedInput>& inputs) {
  graph::Model result = model;
  const graph::GraphIndex index(model.graph());
  Aligner aligner(result);
  for (const plan::AlignedInput& input : inputs) {
    const auto place = place_of(index, input.value);
    const auto fits = [&](const std::vector<float>& numbers) {
      return numbers.empty() || static_cast<int64_t>(numbers.size()) == place->channels;
    };
    if (!place || !fits(input.factors) || !fits(input.shifts) || !can_pad(*place->convolution, input) ||
        index.has_value(aligned_name(input.value))) {
      throw Error(ErrorKind::kUsage,
                  "align: no single convolution with constant weights and these channels reads a model input '{}'",
                  input.value);
    }
    aligner.align(index, *place, input);
  }
  aligner.finish();
  return result;
}

// Before:  y = Mul (x, factors)
// After:   y = Mul (DequantizeLinear (QuantizeLinear (x)), factors)
double added_share(const graph::Model& model, const plan::PrecisionPlan& plan,
                   const std::vector<plan::AlignedInput>& inputs) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  double all = 0;
  double added = 0;
  for (const plan::ValuePlan& value : plan.values) {
    const auto shape = index.type(value.value).shape;
    if (!shape) return 1;
    double elements = 1;
    for (size_t axis = 0; axis < shape->size(); ++axis) {
      if (axis > 0 && shape->at(axis) < 0) return 1;
      elements *= static_cast<double>(std::max<int64_t>(shape->at(axis), 1));
    }
    all += elements;
    const auto input =
        std::find_if(inputs.begin(), inputs.end(), [&](const auto& other) { return other.value == value.value; });
    if (input != inputs.end() && !(input->factors.empty() && input->shifts.empty())) added += elements;
  }
  return added / std::max(all, 1.0);
}

graph::Model round_inputs(const graph::Model& quantized, const std::vector<plan::AlignedInput>& inputs,
                          const plan::PrecisionPlan& before) {
  graph::Model result = quantized;
  graph::GraphEditor editor(result);
  for (const plan::AlignedInput& input : inputs) {
    const auto plan = std::find_if(before.values.begin(), before.values.end(),
                                   [&](const plan::ValuePlan& value) { return value.value == input.value; });
    ensure(plan != before.values.end(), "an aligned value was quantized before");
    const std::string rounded = editor.unique_name(input.value + "_rounded");
    editor.redirect_uses({{input.value, rounded}});
    const std::string scale = editor.add_initializer(rounded + "_scale", Tensor::scalar(plan->params.scales[0]));
    const std::string zero =
        editor.add_initializer(rounded + "_zero_point", quant::quantize(Tensor::scalar(0.0F), plan->params));
    const std::string codes =
        editor.add_value("QuantizeLinear", rounded + "_codes", {input.value, scale, zero}).output(0);
    editor.add_node("DequantizeLinear", rounded + "_DequantizeLinear", {codes, scale, zero}, {rounded});
  }
  editor.finish();
  return result;
}

}  // namespace narrow::recover
