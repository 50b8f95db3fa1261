// What an integer convolution or matrix product computes, for the fast kernel and for its oracle.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/exec/window.h"
#include "lib/onednn/convolution.h"
#include "lib/tensor/tensor.h"

namespace narrow::runtime {

/// real = sum((x - source_zero_point) * (w - weight_zero_point)) * source_scale * weight_scale + bias, clamped; then
/// requantized to the destination type, or kept as float32.
struct ProductGroup {
  DataType source = DataType::kUint8;         // uint8 or int8
  DataType destination = DataType::kFloat32;  // uint8, int8 or float32
  onednn::Requantize requantize;
  std::vector<int32_t> weight_zero_points;  // one, or one per output channel
  onednn::Clamp clamp;
  Tensor bias;  // float32 in real units, one per output channel; or undefined

  bool symmetric_weights() const;
};

struct ConvolutionGroup : ProductGroup {
  exec::WindowAttributes window;
  int64_t groups = 1;
  Tensor weights;  // int8 [M, C/groups, kernel...]
};

struct MatmulGroup : ProductGroup {
  bool transpose_a = false;
  bool transpose_b = false;
  Tensor weights;                     // int8 [..., K, N], or undefined: the second operand comes at run time
  DataType second = DataType::kInt8;  // type of the second operand at run time
};

}  // namespace narrow::runtime
