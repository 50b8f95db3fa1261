#pragma once

#include "lib/exec/kernels/convolution.h"
#include "lib/onednn/matmul.h"

namespace narrow::exec {

/// The constants of a Gemm or MatMul: B times alpha as the node has it, C times beta as one row, or undefined.
struct DenseConstants {
  Tensor weights;
  Tensor bias;
  bool transpose_a = false;
  bool transpose_b = false;
};

/// True if dense_constants() gives them: B a constant float32 matrix, C constant and one row.
bool dense_takes_epilogue(const KernelRequest& request);
DenseConstants dense_constants(const KernelRequest& request);

/// The product with an epilogue. Its step's inputs: A, then the residual if there is one.
KernelPtr make_dense(const DenseConstants& constants, const Epilogue& epilogue);

/// ONNX's MatMul of plain tensors of one type: float32 by `fast`, other numbers by a plain loop. Throws Error(kModel)
/// for shapes or types that do not fit.
Tensor matrix_product(const Tensor& a, const Tensor& b, const onednn::Matmul& fast, Workspace& workspace);

}  // namespace narrow::exec
