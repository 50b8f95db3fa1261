// Plain element formulas: the oracle of kernels/elementwise.
#pragma once

#include <cstdint>

#include "lib/runtime/kernels/elementwise.h"

namespace narrow::runtime::ref {

/// Integer behind a byte.
int32_t to_integer(const Affine8& params, Byte byte);
Byte to_byte(int32_t integer);

Byte quantize_element(const Affine8& params, float x);
float dequantize_element(const Affine8& params, Byte q);
Byte binary_element(const BinaryStep& step, Byte a, Byte b);

}  // namespace narrow::runtime::ref
