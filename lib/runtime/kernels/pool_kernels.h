#pragma once

#include "lib/exec/kernel.h"
#include "lib/exec/window.h"
#include "lib/runtime/kernels/affine8.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime {

/// Maximum over windows of an 8-bit tensor; padding never wins. Parameters pass through.
exec::KernelPtr make_max_pool(const exec::WindowAttributes& window, DataType type, KernelChoice choice);

struct AveragePoolStep {
  exec::WindowAttributes window;  // without kernel: all of the spatial axes (GlobalAveragePool)
  bool count_pad = false;         // declared padding counts as real zeros
  Affine8 x;
  Affine8 y;
};

/// Integer sums over windows, then y = saturate(round_half_even(sum * x.scale / (n * y.scale)) + y.zero_point).
exec::KernelPtr make_average_pool(AveragePoolStep step);

}  // namespace narrow::runtime
