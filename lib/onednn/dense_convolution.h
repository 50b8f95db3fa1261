// Convolutions over all channels, and products with constant matrices, by kernels that sum windows (Dense8, Dense32):
// the rows of a channels-last window are their runs.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "lib/onednn/dense_line.h"
#include "lib/tensor/tensor.h"

namespace narrow::onednn {

/// Height, then width.
struct DenseWindow {
  std::array<int64_t, 2> kernel{1, 1};
  std::array<int64_t, 2> strides{1, 1};
  std::array<int64_t, 2> pads_begin{0, 0};
  int64_t row_dilation = 1;  // along a row there is none
};

/// Weights [M, C, H, W] as [M][H][W * C], one row of the window behind the other.
Tensor by_rows_of_window(const Tensor& weights);

/// Product is Dense8 or Dense32. Immutable.
template <class Product>
class DenseConvolution {
 public:
  /// The product has a run for each row of the window.
  DenseConvolution(const DenseWindow& window, Product product) : window_(window), product_(std::move(product)) {}

  /// All channels-last, [N, C, H, W] in shape; `residual` undefined if none is added. Runs on the calling thread's
  /// thread count.
  void run(const Tensor& source, const Tensor& residual, Tensor& result) const;

 private:
  /// Every position sees one pixel, and the next position the next pixel.
  bool is_matrix_product(const Shape& source, const Shape& result) const;
  void run_padded(const Tensor& source, const Tensor& residual, Tensor& result) const;

  DenseWindow window_;
  Product product_;
};

/// Rows, each one run of the product, times its columns; on the calling thread's thread count. `residual` may be null.
struct DenseRows {
  const std::byte* source = nullptr;
  const std::byte* residual = nullptr;
  std::byte* result = nullptr;
  int64_t count = 0;
};
template <class Product>
void multiply_rows(const Product& product, const DenseRows& rows);

}  // namespace narrow::onednn
