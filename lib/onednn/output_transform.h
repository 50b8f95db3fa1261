// What follows the accumulation of a convolution or a matrix product: scales, bias and clamp.
#pragma once

#include <vector>

#include "lib/onednn/convolution.h"

namespace narrow::onednn {

/// To float32: result = clamp(accumulator * multipliers[c] + bias[c]).
/// To integers: result = saturate(round_half_even(clamp((accumulator + bias[c]) * multipliers[c])) + zero_point), in
/// float32, multipliers[c] = source_scale * weight_scales[c] / destination_scale in float32 from left to right. So does
/// onnxruntime: its int32 bias, quantized by source_scale * weight_scales[c], is this bias in steps of the accumulator.
/// Ends of the clamp at or beyond the type's own limits are left out: saturation does their work.
struct OutputTransform {
  std::vector<float> multipliers;  // empty (none), one, or one per output channel
  std::vector<float> bias;         // empty, or one per output channel
  bool bias_first = false;         // to integers, with a bias: oneDNN's own scales would come before it
  Clamp clamp;
  int32_t source_zero_point = 0;
  int32_t destination_zero_point = 0;
};

struct OutputTypes {
  DataType source = DataType::kFloat32;
  DataType destination = DataType::kFloat32;
};

/// `bias` float32 [channels] or undefined. Throws Error(kUnsupported) for combinations of types that have no meaning.
OutputTransform make_output_transform(OutputTypes types, const std::optional<Requantize>& requantize,
                                      const Clamp& clamp, const Tensor& bias, int64_t channels);

}  // namespace narrow::onednn
