#pragma once

#include "lib/exec/kernels/convolution.h"
#include "lib/onednn/matmul.h"

namespace narrow::exec {

/// The kernel of a Gemm node with a clamp behind it (no residual).
KernelPtr make_gemm_with(const KernelRequest& request, const Epilogue& epilogue);

/// True if make_gemm_with takes a clamp for this node: B and C constant, C one row.
bool gemm_takes_epilogue(const KernelRequest& request);

/// ONNX's MatMul of plain tensors of one type: float32 by `fast`, other numbers by a plain loop. Throws Error(kModel)
/// for shapes or types that do not fit.
Tensor matrix_product(const Tensor& a, const Tensor& b, const onednn::Matmul& fast, Workspace& workspace);

}  // namespace narrow::exec
