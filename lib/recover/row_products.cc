#include "lib/recover/row_products.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/recover/row_products.cc"
#include <hwy/foreach_target.h>
// Highway wants its header after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::recover::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::CappedTag<float, 16>;
constexpr size_t kWidth = hn::MaxLanes(FloatTag());

/// Sums of one block of rows, a few columns of a panel at a time: as many sums as there are registers.
HWY_INLINE void multiply_block(float (&sums)[kProductRows][kPanel], const float* a, const float* b, size_t rows) {
  const FloatTag d;
  constexpr size_t kVectors = 2;
  for (size_t at = 0; at < kPanel; at += kVectors * kWidth) {
    hn::Vec<FloatTag> totals[kProductRows][kVectors];
    for (auto& row : totals) {
      for (auto& total : row) total = hn::Zero(d);
    }
    for (size_t row = 0; row < rows; ++row) {
      const auto b0 = hn::LoadU(d, b + row * kPanel + at);
      const auto b1 = hn::LoadU(d, b + row * kPanel + at + kWidth);
      for (size_t i = 0; i < kProductRows; ++i) {
        const auto factor = hn::Set(d, a[row * kPanel + i]);
        totals[i][0] = hn::MulAdd(factor, b0, totals[i][0]);
        totals[i][1] = hn::MulAdd(factor, b1, totals[i][1]);
      }
    }
    for (size_t i = 0; i < kProductRows; ++i) {
      for (size_t v = 0; v < kVectors; ++v) hn::StoreU(totals[i][v], d, sums[i] + at + v * kWidth);
    }
  }
}

HWY_ATTR void add_products(const ProductTarget& target, const Panels& a, const Panels& b,
                           std::span<const size_t> ends) {
  for (size_t i = target.first; i < target.last; i += kProductRows) {
    const size_t rows = std::min(kProductRows, target.last - i);
    for (size_t j = target.first_column; j < target.columns; j += kPanel) {
      double all[kProductRows][kPanel] = {};
      for (size_t block = 0; block + 1 < ends.size(); ++block) {
        alignas(64) float sums[kProductRows][kPanel];
        const size_t row = ends[block];
        multiply_block(sums, a.panel(i) + row * kPanel, b.panel(j) + row * kPanel, ends[block + 1] - row);
        for (size_t r = 0; r < kProductRows; ++r) {
          for (size_t k = 0; k < kPanel; ++k) all[r][k] += static_cast<double>(sums[r][k]);
        }
      }
      const size_t columns = std::min(kPanel, target.columns - j);
      for (size_t r = 0; r < rows; ++r) {
        double* const to = target.values + (i + r) * target.columns + j;
        for (size_t k = 0; k < columns; ++k) to[k] += all[r][k];
      }
    }
  }
}

HWY_ATTR void add_lane_products(double* sums, const LaneProducts& of) {
  const FloatTag d;
  constexpr size_t kTaps = 8;
  for (size_t first = 0; first < of.taps; first += kTaps) {
    const size_t taps = std::min(kTaps, of.taps - first);
    for (size_t lane = 0; lane < kLanes; lane += kWidth) {
      hn::Vec<FloatTag> totals[kTaps];
      for (auto& total : totals) total = hn::Zero(d);
      for (size_t row = 0; row < of.rows; ++row) {
        const auto a = hn::LoadU(d, of.a + row * of.a_width + lane);
        const float* const b = of.b + row * of.b_width + first * of.step + lane;
        for (size_t tap = 0; tap < taps; ++tap)
          totals[tap] = hn::MulAdd(a, hn::LoadU(d, b + tap * of.step), totals[tap]);
      }
      alignas(64) float values[kWidth];
      for (size_t tap = 0; tap < taps; ++tap) {
        hn::Store(totals[tap], d, values);
        double* const to = sums + (first + tap) * kLanes + lane;
        for (size_t k = 0; k < kWidth; ++k) to[k] += static_cast<double>(values[k]);
      }
    }
  }
}

}  // namespace narrow::recover::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::recover {

HWY_EXPORT(add_products);
HWY_EXPORT(add_lane_products);

void add_products(const ProductTarget& target, const Panels& a, const Panels& b, std::span<const size_t> ends) {
  HWY_DYNAMIC_DISPATCH(add_products)(target, a, b, ends);
}

void add_lane_products(double* sums, const LaneProducts& of) {
  HWY_DYNAMIC_DISPATCH(add_lane_products)(sums, of);
}

}  // namespace narrow::recover
#endif
