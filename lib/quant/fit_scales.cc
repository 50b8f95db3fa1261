#include "lib/quant/fit_scales.h"

#include <algorithm>
#include <limits>

#include "lib/base/parallel.h"
#include "lib/quant/code_grid.h"
#include "lib/quant/element_groups.h"
#include "lib/tensor/convert.h"

namespace narrow::quant {
namespace {

constexpr size_t kFractions = 20;
constexpr float kStep = 0.04F;

/// What becomes of values, in units of the scale: integers between the type's limits. One zero point, or one each.
struct RoundsToIntegers {
  float qmin;
  float qmax;

  void round(std::span<float> values, std::span<const int32_t> zero_points) const {
    const auto round_one = [&](float& value, float zero) { value = nearest_integer(value, qmin - zero, qmax - zero); };
    if (zero_points.size() == 1) {
      for (float& value : values) round_one(value, static_cast<float>(zero_points[0]));
    } else {
      for (size_t i = 0; i < values.size(); ++i) round_one(values[i], static_cast<float>(zero_points[i]));
    }
  }
};

/// ... or the numbers of a floating-point format.
struct RoundsToFloats {
  DataType type;

  void round(std::span<float> values, std::span<const int32_t> /*zero_points*/) const {
    std::vector<std::byte> codes(values.size());
    encode_floats(type, values, codes.data());
    decode_floats(type, codes.data(), values);
  }
};

template <class Rounding>
void add_errors(const Tensor& weight, const ElementGroups& groups, const QuantParams& params, const Rounding& rounding,
                std::span<float> errors) {
  const auto values = weight.data<float>();
  std::vector<float> rounded;
  groups.for_each_run([&](const Run& run) {
    const size_t count = run.end - run.begin;
    rounded.resize(count);
    if (run.step == 0) {
      for (size_t i = 0; i < count; ++i) rounded[i] = values[run.begin + i] / params.scales[run.group];
      rounding.round(rounded, std::span(params.zero_points).subspan(run.group, 1));
      float error = 0;
      for (size_t i = 0; i < count; ++i) {
        const float difference = rounded[i] * params.scales[run.group] - values[run.begin + i];
        error += difference * difference;
      }
      errors[run.group] += error;
      return;
    }
    for (size_t i = 0; i < count; ++i) rounded[i] = values[run.begin + i] / params.scales[run.group + i];
    rounding.round(rounded, std::span(params.zero_points).subspan(run.group, count));
    for (size_t i = 0; i < count; ++i) {
      const float difference = rounded[i] * params.scales[run.group + i] - values[run.begin + i];
      errors[run.group + i] += difference * difference;
    }
  });
}

struct Trial {
  QuantParams params;
  std::vector<float> errors;  // squared, of each group
};

Trial try_fraction(const Tensor& weight, std::span<const Range> ranges, const Scheme& scheme, const QuantParams& params,
                   float fraction) {
  Trial trial{.params = params, .errors = std::vector<float>(ranges.size())};
  for (size_t group = 0; group < ranges.size(); ++group) {
    const ScaleZeroPoint chosen = choose_params({ranges[group].rmin * fraction, ranges[group].rmax * fraction}, scheme);
    trial.params.scales[group] = chosen.scale;
    trial.params.zero_points[group] = chosen.zero_point;
  }
  const ElementGroups groups(weight.shape(), params.grouping());
  const QuantTypeRow& type = row(params.type);
  if (type.is_float) {
    add_errors(weight, groups, trial.params, RoundsToFloats{type.storage}, trial.errors);
  } else {
    const RoundsToIntegers integers{static_cast<float>(type.qmin), static_cast<float>(type.qmax)};
    add_errors(weight, groups, trial.params, integers, trial.errors);
  }
  return trial;
}

}  // namespace

void fit_squared_error(const Tensor& weight, std::span<const Range> ranges, const Scheme& scheme, QuantParams& params) {
  // Each thread has a fraction of its own: no error depends on how many there are.
  const auto at_once = static_cast<size_t>(std::min<int>(kFractions, thread_count()));
  std::vector<float> least(ranges.size(), std::numeric_limits<float>::infinity());
  std::vector<Trial> trials(at_once);
  for (size_t first = 0; first < kFractions; first += at_once) {
    const size_t count = std::min(at_once, kFractions - first);
    parallel_for(static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
        trials[i] = try_fraction(weight, ranges, scheme, params, 1 - kStep * static_cast<float>(first + i));
      }
    });
    for (const Trial& trial : std::span(trials).first(count)) {
      for (size_t group = 0; group < ranges.size(); ++group) {
        if (!(trial.errors[group] < least[group])) continue;
        least[group] = trial.errors[group];
        params.scales[group] = trial.params.scales[group];
        params.zero_points[group] = trial.params.zero_points[group];
      }
    }
  }
}

}  // namespace narrow::quant
