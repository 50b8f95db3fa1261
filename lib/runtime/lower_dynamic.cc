// Models quantized as they run:
//
//   x -> DynamicQuantizeLinear -> x_q, x_scale, x_zero -> MatMulInteger(x_q, w_q) -> Cast -> Mul(scales) [-> Add(bias)]
//
// The product and what follows it become one step. Sums, scales and bias are rounded as the operators say.
#include <fmt/format.h>

#include "lib/graph/attributes.h"
#include "lib/graph/inputs.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/dynamic_quantize.h"
#include "lib/runtime/kernels/sums_kernels.h"
#include "lib/runtime/signed_weights.h"

namespace narrow::runtime {
namespace {

/// How the sums go on: the nodes behind the product that join its step.
struct DynamicEnd {
  std::vector<const onnx::NodeProto*> nodes;  // the product first
  bool to_float = false;
  std::string scale;  // value that the sums are multiplied by, or ""
  const Tensor* bias = nullptr;
  onednn::Clamp clamp;
  std::string result;
};

/// True if a tensor of this shape has one element, or one per channel where the product has them: `channel_axis` counts
/// from the back.
bool is_per_channel(const Shape& shape, int64_t channels, size_t channel_axis) {
  for (size_t back = 1; back <= shape.size(); ++back) {
    const int64_t size = shape[shape.size() - back];
    if (size != 1 && (back != channel_axis || size != channels)) return false;
  }
  return true;
}

struct ChannelAxis {
  int64_t channels = 0;
  size_t from_back = 1;
};

bool fits_channels(const LowerContext& context, const std::string& value, ChannelAxis axis) {
  if (const Tensor* constant = context.constant(value)) {
    return constant->type() == DataType::kFloat32 && is_per_channel(constant->shape(), axis.channels, axis.from_back);
  }
  const graph::ValueType type = context.quant.index().type(value);
  return type.type == DataType::kFloat32 && type.shape && is_per_channel(*type.shape, axis.channels, axis.from_back);
}

/// The only node that reads `value`, or nullptr; `position`: which input of it that is.
const onnx::NodeProto* only_reader(const LowerContext& context, const std::string& value, int& position) {
  const auto uses = context.quant.index().uses(value);
  if (uses.size() != 1 || uses[0].input == graph::Use::kCaptured || context.quant.index().is_output(value)) {
    return nullptr;
  }
  position = uses[0].input;
  return uses[0].node;
}

DynamicEnd find_scaled_end(const LowerContext& context, const onnx::NodeProto& head, ChannelAxis axis) {
  DynamicEnd end{
      .nodes = {&head}, .to_float = false, .scale = {}, .bias = nullptr, .clamp = {}, .result = head.output(0)};
  const auto take = [&](const onnx::NodeProto& node) {
    end.nodes.push_back(&node);
    end.result = node.output(0);
  };
  int position = 0;
  const onnx::NodeProto* next = only_reader(context, end.result, position);
  if (next == nullptr || !is_op(*next, "Cast") || graph::int_attribute(*next, "to", 0) != onnx::TensorProto::FLOAT) {
    return end;
  }
  take(*next);
  end.to_float = true;
  next = only_reader(context, end.result, position);
  if (next == nullptr || !is_op(*next, "Mul") || !fits_channels(context, next->input(1 - position), axis)) return end;
  end.scale = next->input(1 - position);
  take(*next);
  next = only_reader(context, end.result, position);
  if (next == nullptr || !is_op(*next, "Add") || !fits_channels(context, next->input(1 - position), axis)) return end;
  end.bias = context.constant(next->input(1 - position));
  if (end.bias != nullptr) take(*next);
  return end;
}

void find_clamps(const LowerContext& context, DynamicEnd& end) {
  int position = 0;
  while (const onnx::NodeProto* next = end.to_float ? only_reader(context, end.result, position) : nullptr) {
    const auto clamp = position == 0 ? clamp_of(context, *next) : std::nullopt;
    if (!clamp) return;
    end.clamp = compose(end.clamp, *clamp);
    end.nodes.push_back(next);
    end.result = next->output(0);
  }
}

DynamicEnd find_dynamic_end(const LowerContext& context, const onnx::NodeProto& head, ChannelAxis axis) {
  DynamicEnd end = find_scaled_end(context, head, axis);
  find_clamps(context, end);
  return end;
}

/// Why the product of these operands has no integer kernel; absent if it has.
std::optional<Reason> why_not(const LowerContext& context, const onnx::NodeProto& node) {
  const auto& index = context.quant.index();
  const Tensor* weights = context.constant(node.input(1));
  if (weights == nullptr) return Reason{ReasonCode::kWeightNotConstant, node.input(1)};
  if (!is_byte(weights->type())) return Reason{ReasonCode::kNoIntegerKernel, "the weights have no 8 bits"};
  if (!is_byte(index.type(node.input(0)).type)) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("'{}' is not known to have 8 bits", node.input(0))};
  }
  const std::string zero = graph::input_or_none(node, 2);
  const auto shape = index.type(zero).shape;
  const bool one = zero.empty() || context.constant(zero) != nullptr || (shape && is_per_channel(*shape, 1, 1));
  if (!one) return Reason{ReasonCode::kNoIntegerKernel, "several zero points of the first operand"};
  const std::string weight_zero = graph::input_or_none(node, 3);
  if (!weight_zero.empty() && context.constant(weight_zero) == nullptr) {
    return Reason{ReasonCode::kWeightNotConstant, weight_zero};
  }
  return std::nullopt;
}

std::vector<int32_t> zero_points(const LowerContext& context, const onnx::NodeProto& node) {
  const Tensor* given = context.constant(graph::input_or_none(node, 3));
  if (given == nullptr) return {0};
  std::vector<int32_t> result;
  const Tensor real = to_float32(*given);
  for (const float value : real.data<float>()) result.push_back(static_cast<int32_t>(value));
  return result;
}

void set_operands(const LowerContext& context, const onnx::NodeProto& node, int64_t weight_axis, SumsProduct& product) {
  const Tensor& weights = *context.constant(node.input(1));
  std::vector<int32_t> zeros = zero_points(context, node);
  const std::optional<int64_t> axis = zeros.size() != 1 ? std::optional(weight_axis) : std::nullopt;
  SignedWeights own = sign_weights(weights, std::move(zeros), axis);
  product.source = context.quant.index().type(node.input(0)).type;
  product.weights = std::move(own.integers);
  product.weight_zero_points = std::move(own.zero_points);
}

void set_end(const DynamicEnd& end, SumsEnd& to) {
  if (end.to_float) to.destination = DataType::kFloat32;
  if (end.bias != nullptr) to.bias = *end.bias;
  to.clamp = end.clamp;
}

IntegerGroup group_of(const LowerContext& context, const onnx::NodeProto& node, exec::KernelPtr kernel,
                      const DynamicEnd& end) {
  IntegerGroup group;
  group.steps.push_back({std::move(kernel),
                         {context.quant.canonical(node.input(0)), graph::input_or_none(node, 2), end.scale},
                         {end.result}});
  group.nodes = end.nodes;
  return group;
}

}  // namespace

GroupOrReason lower_dynamic_quantize(const LowerContext& /*context*/, const onnx::NodeProto& node) {
  IntegerGroup group;
  group.steps.push_back({make_dynamic_quantize(), {node.input(0)}, {node.output().begin(), node.output().end()}});
  group.nodes = {&node};
  return group;
}

GroupOrReason lower_matmul_integer(const LowerContext& context, const onnx::NodeProto& node) {
  if (auto reason = why_not(context, node)) return *std::move(reason);
  const Tensor& weights = *context.constant(node.input(1));
  if (weights.rank() != 2) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have rank {}", weights.rank())};
  }
  const int64_t columns = weights.shape()[1];
  SumsProduct product;
  set_operands(context, node, /*weight_axis=*/1, product);
  const DynamicEnd end = find_dynamic_end(context, node, {.channels = columns, .from_back = 1});
  set_end(end, product.end);
  return group_of(context, node, make_sums_matmul(std::move(product)), end);
}

GroupOrReason lower_conv_integer(const LowerContext& context, const onnx::NodeProto& node) {
  if (auto reason = why_not(context, node)) return *std::move(reason);
  const Tensor& weights = *context.constant(node.input(1));
  if (weights.rank() < 3 || weights.rank() > 5) {
    return Reason{ReasonCode::kNoIntegerKernel, fmt::format("weights have rank {}", weights.rank())};
  }
  SumsConvolution convolution;
  set_operands(context, node, /*weight_axis=*/0, convolution);
  convolution.window = exec::window_attributes(node);
  convolution.groups = exec::group_count(node, weights.shape());
  const DynamicEnd end =
      find_dynamic_end(context, node, {.channels = weights.shape()[0], .from_back = weights.rank() - 1});
  set_end(end, convolution.end);
  return group_of(context, node, make_sums_convolution(std::move(convolution)), end);
}

}  // namespace narrow::runtime
