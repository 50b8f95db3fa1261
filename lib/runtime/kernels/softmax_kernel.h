#pragma once

#include <cstdint>

#include "lib/exec/kernel.h"
#include "lib/runtime/kernels/affine8.h"

namespace narrow::runtime {

struct SoftmaxStep {
  int64_t axis = -1;
  /// Operator versions below 13: one softmax over all axes from `axis` on.
  bool flatten_tail = false;
  Affine8 x;
  Affine8 y;
};

/// Softmax from integers to integers: exp((q - max q) * scale) has 256 values, so it is a table.
exec::KernelPtr make_softmax(const SoftmaxStep& step);

}  // namespace narrow::runtime
