#include "lib/runtime/product_operands.h"

#include <fmt/format.h>

#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::runtime {

Reason not_constant_weights(const LowerContext& context, const onnx::NodeProto& node) {
  const std::string& weights = node.input(1);
  if (const Quantized* source = context.quant.source(weights)) {
    if (context.quant.constant(source->integer) == nullptr) return {ReasonCode::kWeightNotConstant, weights};
    return {ReasonCode::kNoIntegerKernel, fmt::format("weights are {}", quant::name(source->params.type))};
  }
  return {ReasonCode::kNotFusable, fmt::format("weights '{}' are not dequantized", weights)};
}

std::optional<Tensor> weight_integers(const LowerContext& context, const onnx::NodeProto& node) {
  const Quantized* source = node.input_size() < 2 ? nullptr : context.quant.source(node.input(1));
  const Tensor* integers = source == nullptr ? nullptr : context.quant.constant(source->integer);
  if (integers == nullptr) return std::nullopt;
  Workspace workspace;
  if (is_packed(integers->type())) return unpacked(*integers, workspace);
  const bool bytes = integers->type() == DataType::kInt8 || integers->type() == DataType::kUint8;
  return bytes ? std::optional(*integers) : std::nullopt;
}

void set_source(ProductGroup& group, const Quantized& x) {
  group.source = quant::row(x.params.type).storage;
  group.requantize.source_scale = x.scale();
  group.requantize.source_zero_point = x.zero_point();
}

std::string set_destination(ProductGroup& group, const GroupEnd& end) {
  group.clamp = end.clamp;
  if (end.target == nullptr) return end.real;
  group.destination = quant::row(end.target->params.type).storage;
  group.requantize.destination_scale = end.target->scale();
  group.requantize.destination_zero_point = end.target->zero_point();
  return end.target->integer;
}

}  // namespace narrow::runtime
