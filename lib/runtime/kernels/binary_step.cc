#include "lib/runtime/kernels/binary_step.h"

#include <cmath>
#include <utility>

#include "lib/base/error.h"
#include "lib/quant/quant_params.h"

namespace narrow::runtime {
namespace {

bool is_implied(float low, float high, const Affine8& y) {
  const quant::QuantTypeRow& type = quant::row(y.type());
  return quant::quantize_value(low, y.scale, y.zero_point, type.type) == type.qmin &&
         quant::quantize_value(high, y.scale, y.zero_point, type.type) == type.qmax;
}

}  // namespace

BinaryForm form_of(const BinaryStep& step) {
  const bool one_type = step.a.is_signed == step.b.is_signed && step.a.is_signed == step.y.is_signed;
  if (!one_type || !is_implied(step.low, step.high, step.y)) return BinaryForm::kDefinition;
  switch (step.op) {
    case BinaryOp::kAdd:
      return BinaryForm::kSum;
    case BinaryOp::kMul:
      return BinaryForm::kProduct;
    default:
      return BinaryForm::kDefinition;
  }
}

// onnxruntime's Add kernel for AVX2, as its compiler contracted it: this order alone gives its result for every pair of
// bytes (docs/numerics.md).
SumTerms sum_terms(const BinaryStep& step) {
  SumTerms terms{.a = step.a.scale / step.y.scale, .b = step.b.scale / step.y.scale};
  const auto zero_a = static_cast<float>(step.a.zero_point);
  const auto zero_b = static_cast<float>(step.b.zero_point);
  terms.constant = static_cast<float>(step.y.zero_point) - std::fma(terms.a, zero_a, terms.b * zero_b);
  return terms;
}

float product_scale(const BinaryStep& step) {
  return step.a.scale * step.b.scale / step.y.scale;
}

BinaryStep exchanged(const BinaryStep& step) {
  ensure(step.op == BinaryOp::kAdd || step.op == BinaryOp::kMul, "a function of the set of its operands");
  BinaryStep result = step;
  std::swap(result.a, result.b);
  return result;
}

}  // namespace narrow::runtime
