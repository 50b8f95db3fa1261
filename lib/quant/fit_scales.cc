#include "lib/quant/fit_scales.h"

#include <algorithm>
#include <limits>

#include "lib/quant/element_groups.h"
#include "lib/tensor/convert.h"

namespace narrow::quant {
namespace {

constexpr int kFractions = 20;
constexpr float kStep = 0.04F;

/// Adding and taking away 1.5 * 2^23 rounds to an integer, half to even, what is below 2^22.
float round_small(float x) {
  constexpr float kMagic = 12582912.0F;
  return (x + kMagic) - kMagic;
}

/// What becomes of values, in units of the scale: integers between the type's limits.
struct IntegerGrid {
  float qmin;
  float qmax;

  void round(std::span<float> values, float zero_point) const {
    for (float& value : values) {
      // Clipped first, so that what is rounded is small.
      value = round_small(std::clamp(value, qmin - zero_point, qmax - zero_point));
    }
  }
};

/// ... or the numbers of a floating-point format.
struct FloatGrid {
  DataType type;

  void round(std::span<float> values, float /*zero_point*/) const {
    codes.resize(values.size());
    encode_floats(type, values, codes.data());
    decode_floats(type, codes.data(), values);
  }
  mutable std::vector<std::byte> codes = {};
};

template <class Grid>
void add_errors(const Tensor& weight, const ElementGroups& groups, const QuantParams& params, const Grid& grid,
                std::span<float> errors) {
  const auto values = weight.data<float>();
  std::vector<float> rounded;
  groups.for_each_run([&](const Run& run) {
    const size_t count = run.end - run.begin;
    rounded.resize(count);
    if (run.step == 0) {
      const float inverse = 1 / params.scales[run.group];
      for (size_t i = 0; i < count; ++i) rounded[i] = values[run.begin + i] * inverse;
      grid.round(rounded, static_cast<float>(params.zero_points[run.group]));
      float error = 0;
      for (size_t i = 0; i < count; ++i) {
        const float difference = rounded[i] * params.scales[run.group] - values[run.begin + i];
        error += difference * difference;
      }
      errors[run.group] += error;
      return;
    }
    for (size_t i = 0; i < count; ++i) {
      const float scale = params.scales[run.group + i];
      float one = values[run.begin + i] / scale;
      grid.round(std::span<float>(&one, 1), static_cast<float>(params.zero_points[run.group + i]));
      const float difference = one * scale - values[run.begin + i];
      errors[run.group + i] += difference * difference;
    }
  });
}

}  // namespace

void fit_squared_error(const Tensor& weight, std::span<const Range> ranges, const Scheme& scheme, QuantParams& params) {
  const ElementGroups groups(weight.shape(), params.grouping());
  const QuantTypeRow& type = row(params.type);
  std::vector<float> least(ranges.size(), std::numeric_limits<float>::infinity());
  std::vector<float> errors(ranges.size());
  QuantParams tried = params;
  for (int i = 0; i < kFractions; ++i) {
    const float fraction = 1 - kStep * static_cast<float>(i);
    for (size_t group = 0; group < ranges.size(); ++group) {
      const ScaleZeroPoint chosen =
          choose_params({ranges[group].rmin * fraction, ranges[group].rmax * fraction}, scheme);
      tried.scales[group] = chosen.scale;
      tried.zero_points[group] = chosen.zero_point;
    }
    std::fill(errors.begin(), errors.end(), 0.0F);
    if (type.is_float) {
      add_errors(weight, groups, tried, FloatGrid{type.storage}, errors);
    } else {
      add_errors(weight, groups, tried, IntegerGrid{static_cast<float>(type.qmin), static_cast<float>(type.qmax)},
                 errors);
    }
    for (size_t group = 0; group < ranges.size(); ++group) {
      if (!(errors[group] < least[group])) continue;
      least[group] = errors[group];
      params.scales[group] = tried.scales[group];
      params.zero_points[group] = tried.zero_points[group];
    }
  }
}

}  // namespace narrow::quant
