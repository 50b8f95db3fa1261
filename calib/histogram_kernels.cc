#include "calib/histogram_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "calib/histogram.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "calib/histogram_kernels.cc"
#include <hwy/foreach_target.h>
// Highway wants its header after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::calib::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Four accumulators each, because a vector min has a latency of four on common CPUs. Only whole vectors: the caller
// does the rest. False if a NaN or infinity is there, which the integer maximum tells; then the extremes mean nothing.
HWY_ATTR bool scan_vectors(const float* values, size_t count, size_t* done, float* lowest, float* highest) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const auto magnitude = hn::Set(di, 0x7FFFFFFF);
  auto min0 = hn::LoadU(d, values), min1 = min0, min2 = min0, min3 = min0;
  auto max0 = min0, max1 = min0, max2 = min0, max3 = min0;
  auto bits0 = hn::Zero(di), bits1 = bits0;
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto v0 = hn::LoadU(d, values + i);
    const auto v1 = hn::LoadU(d, values + i + lanes);
    const auto v2 = hn::LoadU(d, values + i + 2 * lanes);
    const auto v3 = hn::LoadU(d, values + i + 3 * lanes);
    min0 = hn::Min(min0, v0);
    min1 = hn::Min(min1, v1);
    min2 = hn::Min(min2, v2);
    min3 = hn::Min(min3, v3);
    max0 = hn::Max(max0, v0);
    max1 = hn::Max(max1, v1);
    max2 = hn::Max(max2, v2);
    max3 = hn::Max(max3, v3);
    bits0 = hn::Max(bits0, hn::Max(hn::And(hn::BitCast(di, v0), magnitude), hn::And(hn::BitCast(di, v1), magnitude)));
    bits1 = hn::Max(bits1, hn::Max(hn::And(hn::BitCast(di, v2), magnitude), hn::And(hn::BitCast(di, v3), magnitude)));
  }
  *done = i;
  const auto min = hn::MinOfLanes(d, hn::Min(hn::Min(min0, min1), hn::Min(min2, min3)));
  const auto max = hn::MaxOfLanes(d, hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)));
  const auto bits = hn::MaxOfLanes(di, hn::Max(bits0, bits1));
  *lowest = hn::GetLane(min);
  *highest = hn::GetLane(max);
  return hn::GetLane(bits) < 0x7F800000;
}

HWY_ATTR size_t bin_vectors(const float* values, size_t count, float inverse_width, uint16_t* codes) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<uint16_t, decltype(d)> du;
  const size_t lanes = hn::Lanes(d);
  const auto scale = hn::Set(d, inverse_width);
  const auto magnitude = hn::Set(di, 0x7FFFFFFF);
  const auto offset = hn::Set(di, Histogram::kSideBins);
  const auto zero_code = hn::Add(hn::Iota(di, 0), hn::Set(di, kZeroCode));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto bits = hn::BitCast(di, hn::LoadU(d, values + i));
    const auto absolute = hn::And(bits, magnitude);
    const auto bin = hn::ConvertTo(di, hn::Mul(hn::BitCast(d, absolute), scale));
    const auto sign = hn::ShiftRight<31>(bits);
    const auto code = hn::Add(hn::Xor(bin, sign), offset);
    const auto is_zero = hn::Eq(absolute, hn::Zero(di));
    hn::StoreU(hn::DemoteTo(du, hn::IfThenElse(is_zero, zero_code, code)), du, codes + i);
  }
  return i;
}

}  // namespace narrow::calib::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::calib {
namespace {

HWY_EXPORT(scan_vectors);
HWY_EXPORT(bin_vectors);

Extremes scan_plain(std::span<const float> values) {
  Extremes result{
      .not_finite = 0, .min = std::numeric_limits<float>::max(), .max = std::numeric_limits<float>::lowest()};
  for (const float value : values) {
    if (!std::isfinite(value)) {
      ++result.not_finite;
      continue;
    }
    result.min = std::min(result.min, value);
    result.max = std::max(result.max, value);
  }
  if (result.not_finite == static_cast<int64_t>(values.size())) result.min = result.max = 0;
  return result;
}

}  // namespace

Extremes find_extremes(std::span<const float> values) {
  constexpr size_t kWorthVectors = 256;  // holds four vectors of any width in use
  Extremes result;
  if (values.size() < kWorthVectors) {
    result = scan_plain(values);
  } else {
    size_t done = 0;
    const bool finite =
        HWY_DYNAMIC_DISPATCH(scan_vectors)(values.data(), values.size(), &done, &result.min, &result.max);
    const Extremes rest = scan_plain(values.subspan(done));
    if (!finite || rest.not_finite > 0) {
      result = scan_plain(values);
    } else if (done < values.size()) {
      result.min = std::min(result.min, rest.min);
      result.max = std::max(result.max, rest.max);
    }
  }
  result.min += 0.0F;  // -0 becomes 0: which of the two comes out of a minimum depends on the order
  result.max += 0.0F;
  return result;
}

void find_bins(std::span<const float> values, float inverse_width, uint16_t* codes) {
  size_t i = HWY_DYNAMIC_DISPATCH(bin_vectors)(values.data(), values.size(), inverse_width, codes);
  for (; i < values.size(); ++i) {
    const auto bits = std::bit_cast<int32_t>(values[i]);
    const int32_t absolute = bits & 0x7FFFFFFF;
    const auto bin = static_cast<int32_t>(std::bit_cast<float>(absolute) * inverse_width);
    const int32_t code = absolute == 0 ? kZeroCode : (bin ^ (bits >> 31)) + Histogram::kSideBins;
    codes[i] = static_cast<uint16_t>(code);
  }
}

}  // namespace narrow::calib
#endif
