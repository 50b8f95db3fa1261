// A histogram of any number of floats in one pass and bounded memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace narrow::calib {

/// Bins are [k * width, (k + 1) * width) with width a power of two, anchored at zero, kSideBins on each side of it.
/// When a value falls outside, the width doubles and pairs of bins merge, which is exact; so the result depends only on
/// the multiset of values, never on order, splitting or threads. At least half of one side's bins are in use.
class Histogram {
 public:
  static constexpr int kSideBins = 4096;

  void add(std::span<const float> values);  // finite values only; `max_abs` of them must be known to be in range
  void merge(const Histogram& other);

  double width() const { return width_; }
  /// Count of bin k in [-kSideBins, kSideBins); exact zeros are counted apart from bin 0.
  int64_t count(int k) const { return counts_.empty() ? 0 : counts_[static_cast<size_t>(k + kSideBins)]; }
  int64_t zeros() const { return zeros_; }
  int64_t total() const;

 private:
  void widen_to(float max_abs);

  double width_ = 0;  // 0: nothing but zeros seen
  int64_t zeros_ = 0;
  std::vector<int64_t> counts_;
};

}  // namespace narrow::calib
