// Products by their int32 sums, for what oneDNN's own output transform can not do: zero points of weights, and scales
// and zero points that are known only at run time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/exec/window.h"
#include "lib/onednn/convolution.h"
#include "lib/tensor/tensor.h"

namespace narrow::runtime {

/// What becomes of sums((a - za)(w - zw)).
struct SumsEnd {
  /// int32: the sums. float32: clamp(sum * scale[c] + bias[c]). uint8, int8: saturate(round_half_even(clamp(
  /// (sum + bias[c] / scale[c]) * (scale[c] / destination_scale))) + zero point), the clamp being in real units.
  DataType destination = DataType::kInt32;
  std::vector<float> scales;  // one, or one per channel; empty: input 2, or 1
  Tensor bias;                // float32 in real units, one per channel; or undefined
  onednn::Clamp clamp;
  float destination_scale = 1;
  int32_t destination_zero_point = 0;
};

struct SumsProduct {
  DataType source = DataType::kUint8;        // uint8 or int8
  std::optional<int32_t> source_zero_point;  // absent: input 1, or 0
  Tensor weights;                            // int8
  std::vector<int32_t> weight_zero_points;   // one, or one per output channel
  SumsEnd end;
};

struct SumsConvolution : SumsProduct {
  exec::WindowAttributes window;
  int64_t groups = 1;
};

/// Input 0: a [..., K]; 1: its zero point (may be undefined); 2: a scale (may be undefined), one or one per column.
/// Weights [K, N].
exec::KernelPtr make_sums_matmul(SumsProduct product);

/// Inputs as above, a being [N, C, spatial...]. Weights [M, C/groups, kernel...]. Padding stands for real zeros.
exec::KernelPtr make_sums_convolution(SumsConvolution convolution);

}  // namespace narrow::runtime
