#pragma once

#include "lib/exec/kernel.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime {

/// Sum, difference or product of two 8-bit tensors, with ONNX's broadcasting.
exec::KernelPtr make_binary(const BinaryStep& step, KernelChoice choice);

}  // namespace narrow::runtime
