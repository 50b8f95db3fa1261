// Shapes of a matrix product: ONNX's broadcasting brought to the form oneDNN multiplies.
#pragma once

#include "lib/tensor/shape.h"

namespace narrow::onednn {

struct Transposed {
  bool a = false;
  bool b = false;
};

/// Operands as [batch..., M, K] and [batch..., K, N], of equal rank, whatever the order in memory. Batch axes are
/// merged as far as broadcasting allows; if B has none, A's become rows.
struct MatmulShapes {
  Shape a;
  Shape b;
  Shape product;  // [batch..., M, N]
  Shape result;   // the same elements as ONNX shapes them
};

/// From the stored shapes: [..., M, K] ([..., K, M] if transposed), [..., K, N] ([..., N, K]), or rank 1.
/// Throws Error(kModel) if they do not fit each other.
MatmulShapes make_matmul_shapes(const Shape& a, const Shape& b, Transposed transposed);

}  // namespace narrow::onednn
