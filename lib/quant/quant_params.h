// Linear quantization: x ~ (q - zero_point) * scale.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lib/quant/page_release.h"
#include "lib/quant/quant_type.h"
#include "lib/quant/rounding_noise.h"
#include "lib/tensor/tensor.h"

namespace narrow::quant {

/// Real limits of a value. A usable range is finite, has rmin <= 0 <= rmax.
struct Range {
  float rmin = 0;
  float rmax = 0;
  bool operator==(const Range&) const = default;
};

/// Which elements of a tensor share a scale and zero point: all of them; those of one index of `axis` (per-channel); or
/// `block` neighbours along `axis`, at each index of the other axes (per-block; the last block of a row may be short).
struct Grouping {
  std::optional<int64_t> axis;  // absent: per-tensor
  int64_t block = 0;            // 0: no blocks
};

/// The tables of a tensor of type kCodebook.
struct Codebooks {
  int64_t entries = 0;
  std::optional<int64_t> axis = {};  // absent: one codebook for the tensor
  int64_t channels = 0;              // so many neighbours along the axis share one; the last group may be smaller
  std::vector<float> values = {};    // codebook after codebook, each in ascending order
  bool operator==(const Codebooks&) const = default;
};

/// Parameters of one tensor: one pair of scale and zero point for each group of elements.
struct QuantParams {
  QuantType type = QuantType::kUint8;
  std::optional<int64_t> axis;  // absent: per-tensor
  int64_t block = 0;            // see Grouping
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  std::optional<Codebooks> codebooks = {};  // type kCodebook: an entry times the scale is the value
  std::optional<RoundingNoise> noise = {};  // absent: to the nearest, half to even
  SumAxes sum_axes = {};                    // empty: each element by itself
  bool operator==(const QuantParams&) const = default;

  Grouping grouping() const { return {.axis = axis, .block = block}; }
};

/// Bits of one code in a file: of codebooks 1, 2, 4 or 8, the fewest that hold the numbers of the entries.
int stored_bits(const QuantParams& params);

/// Shape of the tensor that holds the scales of a tensor of shape `shape`, as DequantizeLinear wants it: a scalar, a
/// vector with an element per channel, or `shape` with ceil(size / block) in place of the axis.
Shape scale_shape(const Shape& shape, const Grouping& grouping);

struct ScaleZeroPoint {
  float scale = 1;
  int32_t zero_point = 0;
};

/// How a constant's groups get their ranges.
enum class WeightFit {
  kExtremes,      // the largest magnitude has a code: nothing is clipped
  kSquaredError,  // the fraction of the extremes whose squared error (rounding and clipping) is least
};

struct Scheme {
  QuantType type = QuantType::kUint8;
  bool symmetric = false;
  bool reduce_range = false;
  WeightFit fit = WeightFit::kExtremes;  // of constants; activations have calibrators
};

/// Scale and zero point for a range, which is first widened to contain 0. Affine: scale = (rmax - rmin)/(qmax - qmin),
/// zero_point = round_half_even(qmin - rmin/scale). Symmetric: scale = max(|rmin|, |rmax|)/qmax, zero_point at the
/// type's centre (floating-point types are always symmetric). A range of zero width, or too narrow for a normal float32
/// scale, gives scale 1 and the zero point of a range that begins at 0. Throws Error(kInternal) for a range that is not
/// finite.
ScaleZeroPoint choose_params(Range range, Scheme scheme);

/// round_half_even(x / scale) + zero_point, saturated to the limits of the type; NaN becomes the zero point. Integer
/// types only.
int32_t quantize_value(float x, float scale, int32_t zero_point, QuantType type);

/// (q - zero_point) * scale in float32.
inline float dequantize_value(int32_t q, float scale, int32_t zero_point) {
  return static_cast<float>(static_cast<int64_t>(q) - zero_point) * scale;
}

/// The tensor (float32, plain layout) in the storage type of params.type (4 and 2 bits: packed), element by element as
/// quantize_value; of floating-point types the nearest code to x / scale, saturated. Of type kBinary -1 below 0, else
/// 1; for codebooks see codebook.h. With params.noise one of the two codes next to x / scale, at random so that the
/// mean is x / scale where it lies between the type's limits. With params.sum_axes as keep_sums. `release` is called
/// while a large tensor is read.
Tensor quantize(const Tensor& real, const QuantParams& params, const Release& release = {});

/// The inverse of quantize, float32. `quantized` has the storage type of params.type; any layout for per-tensor
/// parameters, plain for per-channel ones.
Tensor dequantize(const Tensor& quantized, const QuantParams& params);

/// Symmetric or affine parameters for a constant tensor from the extremes of each group, or a fraction of them as
/// scheme.fit says. A group that is all zero gets scale 1. Of type kBinary the mean absolute value of each group, which
/// has the least squared error (Rastegari et al., "XNOR-Net", arXiv:1603.05279, section 3.1), and at least the smallest
/// normal float32.
QuantParams choose_weight_params(const Tensor& weight, Scheme scheme, const Grouping& grouping);

}  // namespace narrow::quant
