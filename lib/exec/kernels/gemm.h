#pragma once

#include "lib/exec/kernels/convolution.h"

namespace narrow::exec {

/// The kernel of a Gemm node with a clamp behind it (no residual).
KernelPtr make_gemm_with(const KernelRequest& request, const Epilogue& epilogue);

/// True if make_gemm_with takes a clamp for this node: B and C constant, C one row.
bool gemm_takes_epilogue(const KernelRequest& request);

}  // namespace narrow::exec
