// Conv, Gemm and MatMul as integer products.
//
//   x_q -> DQ -> x ─┐
//   w_q -> DQ -> w ─┼─ Conv [-> Relu/Clip] -> y -> Q -> y_q      becomes      x_q -> integer convolution -> y_q
//   b_q -> DQ -> b ─┘
//
// Without the Q behind, the integer product ends in float32.
#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/product_kernels.h"
#include "lib/runtime/product_channels.h"
#include "lib/runtime/product_operands.h"
#include "lib/runtime/signed_weights.h"
#include "lib/tensor/convert.h"

namespace narrow::runtime {
namespace {

IntegerGroup single_step(exec::KernelPtr kernel, std::vector<std::string> inputs, std::string output,
                         const GroupEnd& end) {
  IntegerGroup group;
  group.steps.push_back({std::move(kernel), std::move(inputs), {std::move(output)}});
  group.nodes = end.nodes;
  return group;
}

// `values` as float32 [columns], times `factor`; absent if they do not broadcast over rows.
std::optional<Tensor> bias_row(const Tensor& values, int64_t columns, float factor) {
  if (values.type() != DataType::kFloat32) return std::nullopt;
  const bool one = values.size() == 1;
  if (!one && (values.size() != columns || values.shape().back() != columns)) return std::nullopt;
  Tensor row(DataType::kFloat32, {columns});
  const auto target = row.mutable_data<float>();
  for (size_t i = 0; i < target.size(); ++i) target[i] = values.data<float>()[one ? 0 : i] * factor;
  return row;
}

// A Pad that puts zeros around the spatial axes of other integers of the same parameters.
struct ZerosBefore {
  const Quantized* source = nullptr;
  std::vector<int64_t> pads;  // by spatial axis: all begins, then all ends
};

std::optional<ZerosBefore> zeros_before(const LowerContext& context, const Quantized& x) {
  const onnx::NodeProto* quantize = context.quant.index().producer(x.integer);
  const onnx::NodeProto* pad = quantize == nullptr ? nullptr : context.quant.index().producer(quantize->input(0));
  if (pad == nullptr || !is_op(*pad, "Pad")) return std::nullopt;
  const Quantized* source = activation(context, *pad, 0);
  if (source == nullptr || !(source->params == x.params) || context.opset(*pad) < 11) return std::nullopt;
  if (graph::string_attribute(*pad, "mode", "constant") != "constant") return std::nullopt;
  if (pad->input_size() > 3 && !pad->input(3).empty()) return std::nullopt;
  if (pad->input_size() > 2 && !pad->input(2).empty()) {
    const Tensor* value = context.constant(pad->input(2));
    const bool zero =
        value != nullptr && value->type() == DataType::kFloat32 && value->size() == 1 && value->data<float>()[0] == 0;
    if (!zero) return std::nullopt;
  }
  const Tensor* amounts = context.constant(pad->input(1));
  if (amounts == nullptr || amounts->type() != DataType::kInt64) return std::nullopt;
  const auto values = amounts->data<int64_t>();
  const size_t rank = values.size() / 2;
  ZerosBefore result{.source = source, .pads = {}};
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] < 0 || (i % rank < 2 && values[i] != 0)) return std::nullopt;
    if (i % rank >= 2) result.pads.push_back(values[i]);
  }
  return result;
}

}  // namespace

GroupOrReason lower_convolution(const LowerContext& context, const onnx::NodeProto& node) {
  const std::optional<Tensor> weights = weight_integers(context, node);
  const auto groupwise =
      weights && weights->rank() >= 2 ? groupwise_source(context, node, weights->shape()) : std::nullopt;
  const Quantized* x = groupwise ? groupwise->source : activation(context, node, 0);
  if (x == nullptr) return no_activation(context, node, 0);
  exec::WindowAttributes window = exec::window_attributes(node);
  if (const auto padding = zeros_before(context, *x); padding && window.auto_pad == exec::AutoPad::kNotSet) {
    x = padding->source;
    window.pads.resize(padding->pads.size(), 0);
    for (size_t i = 0; i < window.pads.size(); ++i) window.pads[i] += padding->pads[i];
  }
  if (!weights) return not_constant_weights(context, node);
  const quant::QuantParams& weight_params = context.quant.source(node.input(1))->params;
  if (weight_params.axis && *weight_params.axis != 0) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *weight_params.axis)};
  }
  if (weights->rank() < 3 || weights->rank() > 5) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have rank {}", weights->rank())};
  }
  ConvolutionGroup group;
  set_source(group, *x);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* bias = context.constant(node.input(2));
    if (bias == nullptr || bias->type() != DataType::kFloat32)
      return Reason{ReasonCode::kBiasNotConstant, node.input(2)};
    if (bias->shape() != Shape{weights->shape()[0]}) {
      throw Error(ErrorKind::kModel, "bias of shape {} for {} channels", shape_text(bias->shape()),
                  weights->shape()[0]);
    }
    group.bias = *bias;
  }
  SignedWeights own = sign_weights(*weights, weight_params.zero_points, weight_params.axis);
  group.weights = std::move(own.integers);
  group.weight_zero_points = std::move(own.zero_points);
  group.requantize.weight_scales = weight_params.scales;
  if (groupwise) scale_weights(*groupwise, group.requantize);
  group.groups = exec::group_count(node, weights->shape());
  group.window = std::move(window);
  const exec::ProductChannels channels{
      .count = weights->shape()[0], .rank = weights->rank(), .from_back = weights->rank() - 1};
  const GroupEnd end = find_end(context, node, &channels);
  fold_linear(context, end, channels.count, group);
  std::string output = set_destination(group, end);
  return single_step(make_convolution(std::move(group), context.choice), {x->integer}, std::move(output), end);
}

namespace {

/// Of two activations; a Gemm's attributes are the defaults of a MatMul.
GroupOrReason lower_activation_product(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* a = activation(context, node, 0);
  const Quantized* b = activation(context, node, 1);
  if (a == nullptr || b == nullptr) return no_activation(context, node, a == nullptr ? 0 : 1);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    return Reason{ReasonCode::kNoIntegerKernel, "a product of two activations and a third operand"};
  }
  MatmulGroup group;
  group.transpose_a = graph::int_attribute(node, "transA", 0) != 0;
  group.transpose_b = graph::int_attribute(node, "transB", 0) != 0;
  set_source(group, *a);
  group.second = quant::row(b->params.type).storage;
  group.requantize.weight_scales = {b->scale() * graph::float_attribute(node, "alpha", 1.0F)};
  group.weight_zero_points = {b->zero_point()};
  const GroupEnd end = find_end(context, node);
  std::string output = set_destination(group, end);
  return single_step(make_matmul(std::move(group), context.choice), {a->integer, b->integer}, std::move(output), end);
}

/// Whether the second operand is made as the model runs, and quantized or not.
bool has_two_activations(const LowerContext& context, const onnx::NodeProto& node) {
  return activation(context, node, 1) != nullptr || context.quant.source(node.input(1)) != nullptr;
}

}  // namespace

GroupOrReason lower_gemm(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* a = activation(context, node, 0);
  if (a == nullptr) return no_activation(context, node, 0);
  const std::optional<Tensor> weights = weight_integers(context, node);
  if (!weights && has_two_activations(context, node)) return lower_activation_product(context, node);
  if (!weights) return not_constant_weights(context, node);
  if (weights->rank() != 2) throw Error(ErrorKind::kModel, "weights have rank {}, expected 2", weights->rank());
  MatmulGroup group;
  group.transpose_a = graph::int_attribute(node, "transA", 0) != 0;
  group.transpose_b = graph::int_attribute(node, "transB", 0) != 0;
  const int64_t column_axis = group.transpose_b ? 0 : 1;
  const int64_t columns = weights->shape()[static_cast<size_t>(column_axis)];
  const quant::QuantParams& weight_params = context.quant.source(node.input(1))->params;
  if (weight_params.axis && *weight_params.axis != column_axis) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *weight_params.axis)};
  }
  set_source(group, *a);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* bias = context.constant(node.input(2));
    if (bias == nullptr) return Reason{ReasonCode::kBiasNotConstant, node.input(2)};
    auto row = bias_row(*bias, columns, graph::float_attribute(node, "beta", 1.0F));
    if (!row) return Reason{ReasonCode::kNoIntegerKernel, fmt::format("bias of shape {}", shape_text(bias->shape()))};
    group.bias = std::move(*row);
  }
  SignedWeights own = sign_weights(*weights, weight_params.zero_points, weight_params.axis);
  group.weights = std::move(own.integers);
  group.weight_zero_points = std::move(own.zero_points);
  group.requantize.weight_scales = weight_params.scales;
  for (float& scale : group.requantize.weight_scales) scale *= graph::float_attribute(node, "alpha", 1.0F);
  const exec::ProductChannels channels{.count = columns, .rank = 2, .from_back = 1};
  const GroupEnd end = find_end(context, node, &channels);
  fold_linear(context, end, columns, group);
  std::string output = set_destination(group, end);
  return single_step(make_matmul(std::move(group), context.choice), {a->integer}, std::move(output), end);
}

namespace {

// Of a product with a constant matrix of so many columns; a vector has none.
GroupEnd find_matrix_end(const LowerContext& context, const onnx::NodeProto& node, int64_t columns) {
  if (columns == 0) return find_end(context, node);
  const auto shape = context.quant.index().type(node.output(0)).shape;
  const exec::ProductChannels channels{
      .count = columns, .rank = shape ? shape->size() : 1, .from_back = 1, .second_axis = false};
  return find_end(context, node, &channels);
}

}  // namespace

GroupOrReason lower_matmul(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* a = activation(context, node, 0);
  if (a == nullptr) return no_activation(context, node, 0);
  const std::optional<Tensor> weights = weight_integers(context, node);
  if (!weights && has_two_activations(context, node)) return lower_activation_product(context, node);
  if (!weights) return not_constant_weights(context, node);
  const quant::QuantParams& weight_params = context.quant.source(node.input(1))->params;
  if (weight_params.axis && *weight_params.axis != static_cast<int64_t>(weights->rank()) - 1) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have scales along axis {}", *weight_params.axis)};
  }
  MatmulGroup group;
  set_source(group, *a);
  SignedWeights own = sign_weights(*weights, weight_params.zero_points, weight_params.axis);
  const int64_t columns = weights->rank() < 2 ? 0 : weights->shape().back();
  group.weights = std::move(own.integers);
  group.weight_zero_points = std::move(own.zero_points);
  group.requantize.weight_scales = weight_params.scales;
  const GroupEnd end = find_matrix_end(context, node, columns);
  fold_linear(context, end, columns, group);
  std::string output = set_destination(group, end);
  return single_step(make_matmul(std::move(group), context.choice), {a->integer}, std::move(output), end);
}

}  // namespace narrow::runtime
