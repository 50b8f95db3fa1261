// Element loops over 8-bit tensors in vector code, chosen for the CPU at run time. The same results on every
// instruction set: float32 division, round half to even, saturation.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/runtime/kernels/binary_step.h"

namespace narrow::runtime {

/// q[i] = saturate(round_half_even(x[i] / scale) + zero_point); NaN becomes the zero point.
void quantize_elements(const Affine8& params, const float* x, Byte* q, size_t count);

/// x[i] = (q[i] - zero_point) * scale.
void dequantize_elements(const Affine8& params, const Byte* q, float* x, size_t count);

/// x[i] = (q[i] - zero_points[i]) * scales[i], of int8 if `is_signed`.
struct ColumnParams {
  const float* scales = nullptr;
  const float* zero_points = nullptr;
  bool is_signed = false;
};
void dequantize_columns(const ColumnParams& params, const Byte* q, float* x, size_t count);

/// Step between elements of an operand: kScalar repeats its first element.
enum class OperandStep { kScalar, kVector };

/// y[i] from a[i] and b[i] as form_of(step) says.
void binary_elements(const BinaryStep& step, const Byte* a, OperandStep a_step, const Byte* b, OperandStep b_step,
                     Byte* y, size_t count);

}  // namespace narrow::runtime
