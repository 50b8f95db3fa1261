// Sums, means and normalizations of integers: 8 bits in, 8 bits out, statistics exact.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/runtime/kernels/affine8.h"
#include "lib/tensor/tensor.h"

namespace narrow::runtime {

struct ReduceStep {
  std::vector<int64_t> axes;  // empty: all
  bool keep_axes = true;
  bool mean = true;  // else the sum
  Affine8 x;
  Affine8 y;
};

/// quantize(mean or sum of dequantize(x)): the integers are summed, then scaled once.
exec::KernelPtr make_reduce_integers(ReduceStep step);

struct NormalizeStep {
  int64_t axis = -1;    // rows are all axes from it on
  bool centred = true;  // LayerNormalization; else RMSNormalization
  double epsilon = 0;
  Tensor scale;  // float32, one or one per element of a row
  Tensor shift;  // the same, or undefined
  Affine8 x;
  Affine8 y;
};

/// quantize((x - mean) / sqrt(variance + epsilon) * scale + shift), mean and variance from sums of integers.
exec::KernelPtr make_normalize_integers(NormalizeStep step);

}  // namespace narrow::runtime
