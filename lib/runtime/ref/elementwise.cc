#include "lib/runtime/ref/elementwise.h"

#include <algorithm>

#include "lib/quant/quant_params.h"

namespace narrow::runtime::ref {

int32_t to_integer(const Affine8& params, Byte byte) {
  return params.is_signed ? static_cast<int32_t>(static_cast<int8_t>(byte)) : static_cast<int32_t>(byte);
}

Byte to_byte(int32_t integer) {
  return static_cast<Byte>(integer & 0xFF);
}

Byte quantize_element(const Affine8& params, float x) {
  return to_byte(quant::quantize_value(x, params.scale, params.zero_point, params.type()));
}

float dequantize_element(const Affine8& params, Byte q) {
  return quant::dequantize_value(to_integer(params, q), params.scale, params.zero_point);
}

Byte binary_element(const BinaryStep& step, Byte a, Byte b) {
  const float x = dequantize_element(step.a, a);
  const float y = dequantize_element(step.b, b);
  const float real = step.op == BinaryOp::kAdd ? x + y : step.op == BinaryOp::kSub ? x - y : x * y;
  return quantize_element(step.y, std::min(std::max(real, step.low), step.high));
}

}  // namespace narrow::runtime::ref
