// A sum, difference, product, quotient or extreme of two 8-bit tensors, and the arithmetic that gives its integers.
#pragma once

#include <limits>

#include "lib/runtime/kernels/affine8.h"

namespace narrow::runtime {

enum class BinaryOp { kAdd, kSub, kMul, kDiv, kMax, kMin };

struct BinaryStep {
  BinaryOp op = BinaryOp::kAdd;
  Affine8 a;
  Affine8 b;
  Affine8 y;
  // Limits of the real result, before it is quantized.
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

/// How ties and what is next to them fall depends on the order of float operations, so there is one for each.
enum class BinaryForm {
  kDefinition,  // quantize(clamp(dequantize(a) op dequantize(b))); 0 / 0 is 0
  kSum,         // saturate(round_half_even(fma(a, terms.a, fma(b, terms.b, terms.constant))))
  kProduct,     // saturate(round_half_even(float((a - z_a) * (b - z_b)) * product_scale + z_y))
};

/// kSum and kProduct where onnxruntime has an integer kernel: one type for all three tensors and no clamp that the
/// limits of y's type do not imply.
BinaryForm form_of(const BinaryStep& step);

/// a * s_a / s_y + b * s_b / s_y + constant are steps of y, its zero point included.
struct SumTerms {
  float a = 1;
  float b = 1;
  float constant = 0;
};
SumTerms sum_terms(const BinaryStep& step);

/// s_a * s_b / s_y.
float product_scale(const BinaryStep& step);

/// The same function with its operands exchanged; only for sums and products.
BinaryStep exchanged(const BinaryStep& step);

}  // namespace narrow::runtime
