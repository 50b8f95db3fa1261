// A histogram of any number of floats in one pass and bounded memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "calib/histogram_kernels.h"

namespace narrow::calib {

/// Bins mirror each other around zero, kSideBins on each side: bin k >= 0 is [k * width, (k + 1) * width) and bin
/// -1 - k is its mirror image, (-(k + 1) * width, -k * width]. The width is a power of two. When a value falls outside,
/// the width doubles and pairs of bins merge, which is exact; so the result depends only on the multiset of values,
/// never on order, splitting or threads. At least half of one side's bins are in use, unless every value is below
/// kMinWidth * kSideBins / 2.
class Histogram {
 public:
  static constexpr int kSideBins = 4096;
  static constexpr double kMinWidth = 0x1p-126;  // its reciprocal is still a float32

  /// Finite values, and what find_extremes() says of them.
  void add(std::span<const float> values, const Extremes& extremes);
  void merge(const Histogram& other);

  double width() const { return width_; }
  /// Count of bin k in [-kSideBins, kSideBins); exact zeros are counted apart from bins 0 and -1.
  int64_t count(int k) const { return counts_.empty() ? 0 : counts_[static_cast<size_t>(k) + kSideBins]; }
  /// Count of magnitudes in [k * width, (k + 1) * width), k in [0, kSideBins).
  int64_t magnitude_count(int k) const { return count(k) + count(-1 - k); }
  int64_t zeros() const { return zeros_; }
  int64_t total() const;

  bool operator==(const Histogram&) const = default;

 private:
  void widen_to(double width);
  void add_few(std::span<const float> values);
  void add_many(std::span<const float> values, const Extremes& extremes);
  void move_zeros();

  double width_ = 0;  // 0: nothing but zeros seen
  int64_t zeros_ = 0;
  std::vector<int64_t> counts_;  // by code of find_bins; those of zeros are 0 but within add()
};

}  // namespace narrow::calib
