#include "lib/runtime/ref/elementwise.h"

#include <algorithm>
#include <cmath>

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

namespace {

float combine(BinaryOp op, float x, float y) {
  switch (op) {
    case BinaryOp::kAdd:
      return x + y;
    case BinaryOp::kSub:
      return x - y;
    case BinaryOp::kMul:
      return x * y;
    case BinaryOp::kDiv:
      return x == 0 && y == 0 ? 0 : x / y;
    case BinaryOp::kMax:
      return std::max(x, y);
    case BinaryOp::kMin:
      return std::min(x, y);
  }
  return 0;
}

Byte by_definition(const BinaryStep& step, Byte a, Byte b) {
  const float x = dequantize_element(step.a, a);
  const float y = dequantize_element(step.b, b);
  const float real = combine(step.op, x, y);
  return quantize_element(step.y, std::min(std::max(real, step.low), step.high));
}

// `steps` contain y's zero point.
Byte saturated(const BinaryStep& step, float steps) {
  return to_byte(quant::quantize_value(steps, 1.0F, 0, step.y.type()));
}

Byte sum(const BinaryStep& step, Byte a, Byte b) {
  const SumTerms terms = sum_terms(step);
  const auto x = static_cast<float>(to_integer(step.a, a));
  const auto y = static_cast<float>(to_integer(step.b, b));
  return saturated(step, std::fma(x, terms.a, std::fma(y, terms.b, terms.constant)));
}

Byte product(const BinaryStep& step, Byte a, Byte b) {
  const int32_t x = to_integer(step.a, a) - step.a.zero_point;
  const int32_t y = to_integer(step.b, b) - step.b.zero_point;
  return saturated(step, static_cast<float>(x * y) * product_scale(step) + static_cast<float>(step.y.zero_point));
}

}  // namespace

Byte binary_element(const BinaryStep& step, Byte a, Byte b) {
  switch (form_of(step)) {
    case BinaryForm::kSum:
      return sum(step, a, b);
    case BinaryForm::kProduct:
      return product(step, a, b);
    case BinaryForm::kDefinition:
      return by_definition(step, a, b);
  }
  return by_definition(step, a, b);
}

}  // namespace narrow::runtime::ref
