// Matrix product in float32 or integers, by oneDNN.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "lib/onednn/convolution.h"
#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::onednn {

struct MatmulSpec {
  DataType source = DataType::kFloat32;
  DataType destination = DataType::kFloat32;  // float32, uint8, int8 or int32
  bool transpose_a = false;
  bool transpose_b = false;
  Clamp clamp;
  bool add_residual = false;             // float32 only: result = clamp(product + bias + residual)
  std::vector<Activation> activations;   // float32 only: behind the clamp, in order
  std::optional<Requantize> requantize;  // weight_scales: one, or one per column of B
  int32_t weight_zero_point = 0;         // integer only, second operand, in its own type
};

class Matmul {
 public:
  /// With a constant second operand: `weights` [..., K, N] (or [..., N, K] if transpose_b), packed once.
  /// Integer weights may be int8 or uint8. `bias` float32 in real units, broadcast over rows: [N], or undefined.
  Matmul(MatmulSpec spec, const Tensor& weights, const Tensor& bias);
  /// Both operands known only at run time; an integer second operand may be int8 or uint8.
  explicit Matmul(MatmulSpec spec);
  Matmul(const Matmul&) = delete;
  Matmul& operator=(const Matmul&) = delete;
  ~Matmul();

  /// ONNX MatMul semantics (batch broadcasting, rank-1 operands, sums over no terms are 0). `b` undefined if it was
  /// given as weights. Plain layout. Thread-safe; primitives cached per shape (bounded); float32 results do not depend
  /// on the thread count. `residual` plain, of the result's shape; undefined without add_residual. Throws Error(kModel)
  /// for shapes that do not fit, Error(kUnsupported) for types.
  Tensor run(const Tensor& a, const Tensor& b, Workspace& workspace, const Tensor& residual = Tensor()) const;

  /// Of the product with the constant second operand. Throws Error(kModel) for a shape that does not fit.
  Shape result_shape(const Shape& a) const;

  std::string implementation() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace narrow::onednn
