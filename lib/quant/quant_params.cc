#include "lib/quant/quant_params.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/base/error.h"
#include "lib/quant/element_groups.h"
#include "lib/quant/fit_scales.h"

namespace narrow::quant {

ElementGroups::ElementGroups(const Shape& shape, const Grouping& grouping) : block_(grouping.block) {
  if (!grouping.axis) {
    ensure(block_ == 0, "blocks lie along an axis");
    inner_ = element_count(shape);
    return;
  }
  const auto at = static_cast<size_t>(normalize_axis(*grouping.axis, shape.size()));
  for (size_t i = 0; i < shape.size(); ++i) (i < at ? outer_ : i == at ? size_ : inner_) *= shape[i];
}

int stored_bits(const QuantParams& params) {
  if (!params.codebooks) return row(params.type).bits;
  const int64_t entries = params.codebooks->entries;
  return entries <= 2 ? 1 : entries <= 4 ? 2 : entries <= 16 ? 4 : 8;
}

Shape scale_shape(const Shape& shape, const Grouping& grouping) {
  if (!grouping.axis) return {};
  const auto at = static_cast<size_t>(normalize_axis(*grouping.axis, shape.size()));
  if (grouping.block == 0) return {shape[at]};
  Shape result = shape;
  result[at] = (shape[at] + grouping.block - 1) / grouping.block;
  return result;
}

ScaleZeroPoint choose_params(Range range, Scheme scheme) {
  ensure(std::isfinite(range.rmin) && std::isfinite(range.rmax), "a range is finite");
  const bool symmetric = scheme.symmetric || row(scheme.type).is_float;
  const IntegerLimits limits =
      integer_limits(scheme.type, {.symmetric = symmetric, .reduce_range = scheme.reduce_range});
  // float64 keeps rmax - rmin from overflowing and the division exact enough for one rounding to float32.
  const double rmin = std::min(range.rmin, 0.0F);
  const double rmax = std::max(range.rmax, 0.0F);
  const auto centre = static_cast<int32_t>(row(scheme.type).is_signed ? 0 : (limits.qmax + 1) / 2);
  const double width = symmetric ? std::max(-rmin, rmax) : rmax - rmin;
  // Floating-point codes are as exact anywhere; from 448 on, scales would be so small that runtimes which quantize a
  // bias by themselves overflow int32.
  constexpr int64_t kLargestCode = 448;
  const double steps = row(scheme.type).is_float ? static_cast<double>(std::min(limits.qmax, kLargestCode))
                       : symmetric               ? static_cast<double>(limits.qmax - centre)
                                                 : static_cast<double>(limits.qmax - limits.qmin);
  const auto scale = static_cast<float>(width / steps);
  const bool usable = scale >= std::numeric_limits<float>::min();
  if (symmetric) return {usable ? scale : 1.0F, centre};
  if (!usable) return {1.0F, static_cast<int32_t>(limits.qmin)};
  const double zero_point = std::nearbyint(static_cast<double>(limits.qmin) - rmin / static_cast<double>(scale));
  return {scale, static_cast<int32_t>(
                     std::clamp(zero_point, static_cast<double>(limits.qmin), static_cast<double>(limits.qmax)))};
}

int32_t quantize_value(float x, float scale, int32_t zero_point, QuantType type) {
  const QuantTypeRow& limits = row(type);
  if (std::isnan(x)) return zero_point;
  const double q = static_cast<double>(std::nearbyintf(x / scale)) + zero_point;
  return static_cast<int32_t>(std::clamp(q, static_cast<double>(limits.qmin), static_cast<double>(limits.qmax)));
}

namespace {

QuantParams choose_binary_params(const Tensor& weight, const Grouping& grouping) {
  const ElementGroups groups(weight.shape(), grouping);
  std::vector<double> sums(groups.count(), 0);
  std::vector<int64_t> counts(groups.count(), 0);
  const auto values = weight.data<float>();
  groups.for_each_run([&](const Run& run) {
    for (size_t i = run.begin, group = run.group; i < run.end; ++i, group += run.step) {
      sums[group] += std::abs(values[i]);
      ++counts[group];
    }
  });
  QuantParams params{
      .type = QuantType::kBinary, .axis = grouping.axis, .block = grouping.block, .scales = {}, .zero_points = {}};
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto mean = static_cast<float>(sums[i] / static_cast<double>(std::max<int64_t>(counts[i], 1)));
    params.scales.push_back(std::max(mean, std::numeric_limits<float>::min()));
  }
  params.zero_points.assign(params.scales.size(), 0);
  return params;
}

std::vector<Range> ranges_of(const Tensor& weight, const ElementGroups& groups) {
  std::vector<Range> ranges(groups.count());
  const auto values = weight.data<float>();
  groups.for_each_run([&](const Run& run) {
    const float* const from = values.data() + run.begin;
    Range* const to = ranges.data() + run.group;
    const size_t count = run.end - run.begin;
    if (run.step == 1) {
      for (size_t i = 0; i < count; ++i) {
        to[i] = {std::min(to[i].rmin, from[i]), std::max(to[i].rmax, from[i])};
      }
      return;
    }
    Range range = *to;
    for (size_t i = 0; i < count; ++i) range = {std::min(range.rmin, from[i]), std::max(range.rmax, from[i])};
    *to = range;
  });
  return ranges;
}

}  // namespace

QuantParams choose_weight_params(const Tensor& weight, Scheme scheme, const Grouping& grouping) {
  if (scheme.type == QuantType::kBinary) return choose_binary_params(weight, grouping);
  const ElementGroups groups(weight.shape(), grouping);
  const std::vector<Range> ranges = ranges_of(weight, groups);
  QuantParams params{
      .type = scheme.type, .axis = grouping.axis, .block = grouping.block, .scales = {}, .zero_points = {}};
  for (const Range& range : ranges) {
    const ScaleZeroPoint chosen = choose_params(range, scheme);
    params.scales.push_back(chosen.scale);
    params.zero_points.push_back(chosen.zero_point);
  }
  // A range clipped to 7 bits would use the eighth again.
  if (scheme.fit == WeightFit::kSquaredError && !scheme.reduce_range) fit_squared_error(weight, ranges, scheme, params);
  return params;
}

}  // namespace narrow::quant
