#pragma once

#include "lib/exec/kernel.h"
#include "lib/runtime/kernels/product_groups.h"
#include "lib/runtime/lower.h"

namespace narrow::runtime {

/// Input 0: x [N, C, spatial...].
exec::KernelPtr make_convolution(ConvolutionGroup group, KernelChoice choice);

/// Input 0: a; input 1: b unless the group holds the weights.
exec::KernelPtr make_matmul(MatmulGroup group, KernelChoice choice);

}  // namespace narrow::runtime
