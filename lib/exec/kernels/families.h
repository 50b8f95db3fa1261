// The factories of the kernel table, by file of this folder. Each throws Error(kUnsupported) naming the node.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

// unary.cc
KernelPtr make_unary(const KernelRequest& request);
KernelPtr make_parametric_unary(const KernelRequest& request);
KernelPtr make_float_test(const KernelRequest& request);
KernelPtr make_clip(const KernelRequest& request);
// binary.cc
KernelPtr make_arithmetic(const KernelRequest& request);
KernelPtr make_comparison(const KernelRequest& request);
KernelPtr make_pow(const KernelRequest& request);
KernelPtr make_variadic(const KernelRequest& request);
KernelPtr make_prelu(const KernelRequest& request);
KernelPtr make_bit_shift(const KernelRequest& request);
KernelPtr make_where(const KernelRequest& request);
// cast.cc
KernelPtr make_cast(const KernelRequest& request);

}  // namespace narrow::exec
