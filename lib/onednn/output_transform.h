// What follows the accumulation of a convolution or a matrix product: scales, bias and clamp, in the form oneDNN takes.
#pragma once

#include <vector>

#include "lib/onednn/convolution.h"
#include "lib/onednn/engine.h"

namespace narrow::onednn {

/// result = saturate(round_half_even(clamp(accumulator * multipliers[c] + bias[c]))).
///
/// An integer destination's scale and zero point are folded into the multipliers, the bias and the clamp: most of
/// oneDNN's fast kernels take a bias, few a destination zero point. The kernels would add the zero point before
/// rounding too, so at an exact tie an odd zero point rounds to the odd neighbour; all else is as Requantize says.
/// Ends of the clamp at or beyond the type's own limits are left out: saturation does their work.
struct OutputTransform {
  std::vector<float> multipliers;  // empty (none), one, or one per output channel
  std::vector<float> bias;         // empty, or one per output channel
  Clamp clamp;
  int32_t source_zero_point = 0;
};

struct OutputTypes {
  DataType source = DataType::kFloat32;
  DataType destination = DataType::kFloat32;
};

/// `bias` float32 [channels] or undefined. Throws Error(kUnsupported) for combinations of types that have no meaning.
OutputTransform make_output_transform(OutputTypes types, const std::optional<Requantize>& requantize,
                                      const Clamp& clamp, const Tensor& bias, int64_t channels);

/// Appends the clamp, if it does anything.
void append_clamp(const Clamp& clamp, dnnl::post_ops& operations);

}  // namespace narrow::onednn
