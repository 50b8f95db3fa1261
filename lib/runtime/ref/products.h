// Integer convolution and matrix product as plain loops with an int32 accumulator: the oracle of the fast kernels.
#pragma once

#include "lib/runtime/kernels/product_groups.h"

namespace narrow::runtime::ref {

/// `source` in any layout; the result is plain.
Tensor convolve(const Tensor& source, const ConvolutionGroup& group);

/// ONNX MatMul semantics (batch broadcasting, rank-1 operands). `b` undefined if the group holds the weights.
Tensor multiply(const Tensor& a, const Tensor& b, const MatmulGroup& group);

}  // namespace narrow::runtime::ref
