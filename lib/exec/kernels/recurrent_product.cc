#include "lib/exec/kernels/recurrent_product.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "lib/onednn/matmul.h"

namespace narrow::exec {
namespace {

class FloatProduct final : public GateProduct {
 public:
  FloatProduct(Tensor matrix, bool constant)
      : matmul_(constant ? onednn::Matmul(spec(), matrix, Tensor()) : onednn::Matmul(spec())),
        matrix_(constant ? Tensor() : std::move(matrix)) {}

  Tensor multiply(const Tensor& x, Workspace& workspace) const override { return matmul_.run(x, matrix_, workspace); }
  std::string implementation() const override { return matmul_.implementation(); }

 private:
  static onednn::MatmulSpec spec() { return {.transpose_b = true, .clamp = {}, .requantize = std::nullopt}; }

  onednn::Matmul matmul_;
  Tensor matrix_;  // where matmul_ has it not inside
};

class DoubleProduct final : public GateProduct {
 public:
  explicit DoubleProduct(Tensor matrix) : matrix_(std::move(matrix)) {}

  Tensor multiply(const Tensor& x, Workspace& workspace) const override {
    const int64_t rows = x.shape()[0];
    const int64_t columns = matrix_.shape()[0];
    const int64_t depth = x.shape()[1];
    Tensor result = workspace.allocate(DataType::kFloat64, {rows, columns});
    double* y = result.mutable_data<double>().data();
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        const double* left = x.data<double>().data() + i * depth;
        const double* right = matrix_.data<double>().data() + j * depth;
        for (int64_t k = 0; k < depth; ++k) sum += left[k] * right[k];
        y[i * columns + j] = sum;
      }
    }
    return result;
  }

 private:
  Tensor matrix_;
};

/// The values of the codes of 8 bits that cover the tensor's range.
Tensor rounded_to_bytes(const Tensor& x, Workspace& workspace) {
  constexpr float kSteps = 255;
  const auto values = x.data<float>();
  float low = 0;
  float high = 0;
  for (const float value : values) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float scale = low == high ? 1 : (high - low) / kSteps;
  const float zero = std::nearbyint(std::clamp(-low / scale, 0.0F, kSteps));
  Tensor result = workspace.allocate(DataType::kFloat32, x.shape());
  std::transform(values.begin(), values.end(), result.mutable_data<float>().begin(), [&](float value) {
    return (std::clamp(std::nearbyint(value / scale) + zero, 0.0F, kSteps) - zero) * scale;
  });
  return result;
}

class RoundingProduct final : public GateProduct {
 public:
  explicit RoundingProduct(GateProductPtr product) : product_(std::move(product)) {}

  Tensor multiply(const Tensor& x, Workspace& workspace) const override {
    return product_->multiply(rounded_to_bytes(x, workspace), workspace);
  }
  std::string implementation() const override { return product_->implementation(); }

 private:
  GateProductPtr product_;
};

class KernelProduct final : public GateProduct {
 public:
  explicit KernelProduct(KernelPtr kernel) : kernel_(std::move(kernel)) {}

  Tensor multiply(const Tensor& x, Workspace& workspace) const override {
    Tensor input = x;
    Tensor result;
    kernel_->run({&input, 1}, {&result, 1}, workspace);
    return result;
  }
  std::string implementation() const override { return kernel_->implementation(); }

 private:
  KernelPtr kernel_;
};

}  // namespace

GateProductPtr float_product(const Tensor& weights, size_t direction, Piece rows, bool constant, Workspace& workspace) {
  const Tensor own = piece_of(weights, {.axis = 0, .begin = static_cast<int64_t>(direction), .size = 1}, workspace);
  Tensor matrix = piece_of(own, rows, workspace).reshaped({rows.size, weights.shape()[2]});
  if (weights.type() == DataType::kFloat64) return std::make_shared<const DoubleProduct>(std::move(matrix));
  return std::make_shared<const FloatProduct>(std::move(matrix), constant);
}

GateProductPtr rounding_product(GateProductPtr product) {
  return std::make_shared<const RoundingProduct>(std::move(product));
}

GateProductPtr kernel_product(KernelPtr kernel) {
  return std::make_shared<const KernelProduct>(std::move(kernel));
}

RecurrentRows recurrent_rows(const CellSpec& spec) {
  const auto hidden = static_cast<int64_t>(spec.hidden);
  const int64_t rows = static_cast<int64_t>(gate_count(spec.kind)) * hidden;
  const bool apart = spec.kind == CellKind::kGru && !spec.linear_before_reset;
  const int64_t first = apart ? 2 * hidden : rows;
  return {.first = {.axis = 1, .begin = 0, .size = first},
          .candidate = {.axis = 1, .begin = first, .size = rows - first}};
}

}  // namespace narrow::exec
