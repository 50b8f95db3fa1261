// Convolution of bytes over all channels by Dense8: the rows of a channels-last window are its runs.
#pragma once

#include <array>
#include <cstdint>

#include "lib/onednn/dense8.h"
#include "lib/tensor/shape.h"

namespace narrow::onednn {

struct DenseConvolution8Spec {
  std::array<int64_t, 2> kernel{1, 1};  // height, width; so are the others
  std::array<int64_t, 2> strides{1, 1};
  std::array<int64_t, 2> pads_begin{0, 0};
  int64_t row_dilation = 1;
  bool signed_source = false;
  DataType destination = DataType::kUint8;  // uint8, int8, int32 or float32
};

/// One group, no dilation along the rows. Immutable.
class DenseConvolution8 {
 public:
  /// `weights` [M, C, H, W].
  DenseConvolution8(const DenseConvolution8Spec& spec, const Tensor& weights, const OutputTransform& transform);

  /// `source` and `result` channels-last, [N, C, H, W] in shape. Runs on the calling thread's thread count.
  void run(const uint8_t* source, const Shape& source_shape, std::byte* result, const Shape& result_shape) const;

 private:
  /// Every position sees one pixel, and the next position the next pixel.
  bool is_matrix_product(const Shape& source, const Shape& result) const;
  void run_padded(const uint8_t* source, const Shape& source_shape, std::byte* result, const Shape& result_shape) const;

  DenseConvolution8Spec spec_;
  Dense8 product_;
};

/// Rows of `width` bytes times the product's columns, row by row; on the calling thread's thread count.
void multiply_rows(const Dense8& product, const uint8_t* rows, int64_t count, std::byte* result);

}  // namespace narrow::onednn
