#include "calib/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numeric>

#include "calib/histogram_kernels.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace {

constexpr size_t kCodes = kZeroCode + kZeroCodes;
constexpr size_t kPiece = 1024;  // values whose codes wait in the first-level cache
/// Counters side by side, taken in turn, so that equal neighbours do not wait for each other; more than two would not
/// fit the first-level cache.
constexpr size_t kCounterSets = 2;
constexpr size_t kWorthCounters = size_t{1} << 13;
constexpr size_t kFlushAfter = size_t{1} << 16;  // each 16-bit counter sees at most half of these

static_assert(kZeroCode == 2 * Histogram::kSideBins);

/// The narrowest power of two with max_abs < width * kSideBins.
double width_for(float max_abs) {
  const int exponent = std::ilogb(max_abs) + 1;  // max_abs < 2^exponent
  return std::max(std::ldexp(1.0, exponent) / Histogram::kSideBins, Histogram::kMinWidth);
}

/// Codes that can occur beside those of zeros: [first, end).
struct CodeRange {
  size_t first;
  size_t end;
};

/// The extremes take the way of any other value, so that rounding can not leave one outside.
CodeRange codes_between(const Extremes& extremes, float inverse_width) {
  constexpr auto kMiddle = static_cast<size_t>(Histogram::kSideBins);
  CodeRange range{.first = kMiddle, .end = kMiddle};
  const std::array<float, 2> ends{extremes.min, extremes.max};
  std::array<uint16_t, 2> codes{};
  find_bins(ends, inverse_width, codes.data());
  if (extremes.min < 0) range.first = codes[0];
  if (extremes.max > 0) range.end = size_t{codes[1]} + 1;
  return {.first = std::min(range.first, range.end), .end = std::max(range.first + 1, range.end)};
}

/// Sets of small counters side by side; only those in use are touched.
class Counters {
 public:
  explicit Counters(CodeRange used) : used_(used), counters_(new uint16_t[kCounterSets * kCodes]) { clear(); }

  /// At most kFlushAfter codes between two flushes.
  void count(std::span<const uint16_t> codes) {
    uint16_t* const first = set(0);
    uint16_t* const second = set(1);
    size_t i = 0;
    for (; i + kCounterSets <= codes.size(); i += kCounterSets) {
      ++first[codes[i]];
      ++second[codes[i + 1]];
    }
    for (; i < codes.size(); ++i) ++first[codes[i]];
  }

  void flush_to(std::vector<int64_t>& counts) {
    const auto add = [&](size_t begin, size_t end) {
      for (size_t code = begin; code < end; ++code) {
        counts[code] += uint32_t{set(0)[code]} + set(1)[code];
      }
    };
    add(used_.first, used_.end);
    add(kZeroCode, kCodes);
    clear();
  }

 private:
  uint16_t* set(size_t index) { return counters_.get() + index * kCodes; }

  void clear() {
    for (size_t i = 0; i < kCounterSets; ++i) {
      std::fill(set(i) + used_.first, set(i) + used_.end, uint16_t{0});
      std::fill(set(i) + kZeroCode, set(i) + kCodes, uint16_t{0});
    }
  }

  CodeRange used_;
  std::unique_ptr<uint16_t[]> counters_;
};

}  // namespace

void Histogram::widen_to(double width) {
  if (width <= width_) return;
  if (width_ == 0) {
    width_ = width;
    counts_.assign(kCodes, 0);
    return;
  }
  const int shift = std::ilogb(width / width_);
  width_ = width;
  std::vector<int64_t> merged(counts_.size(), 0);
  for (int k = -kSideBins; k < kSideBins; ++k) {
    const int target = k >> std::min(shift, 30);  // rounds down, so bin -1 stays -1: mirror images stay mirror images
    merged[static_cast<size_t>(target) + kSideBins] += counts_[static_cast<size_t>(k) + kSideBins];
  }
  counts_ = std::move(merged);
}

void Histogram::add(std::span<const float> values, const Extremes& extremes) {
  const float max_abs = std::max(-extremes.min, extremes.max);
  ensure(std::isfinite(max_abs) && max_abs >= 0, "a histogram takes finite values");
  if (max_abs == 0) {
    zeros_ += static_cast<int64_t>(values.size());
    return;
  }
  widen_to(width_for(max_abs));
  if (values.size() < kWorthCounters) {
    add_few(values);
  } else {
    add_many(values, extremes);
  }
}

void Histogram::add_few(std::span<const float> values) {
  std::array<uint16_t, kPiece> codes;
  for (size_t begin = 0; begin < values.size(); begin += kPiece) {
    const auto piece = values.subspan(begin, std::min(kPiece, values.size() - begin));
    find_bins(piece, static_cast<float>(1 / width_), codes.data());
    for (size_t i = 0; i < piece.size(); ++i) ++counts_[codes[i]];
  }
  move_zeros();
}

void Histogram::add_many(std::span<const float> values, const Extremes& extremes) {
  const auto inverse_width = static_cast<float>(1 / width_);
  const CodeRange used = codes_between(extremes, inverse_width);
  std::array<uint16_t, kPiece> codes;
  Counters counters(used);
  for (size_t block = 0; block < values.size(); block += kFlushAfter) {
    const size_t end = std::min(block + kFlushAfter, values.size());
    for (size_t begin = block; begin < end; begin += kPiece) {
      const auto piece = values.subspan(begin, std::min(kPiece, end - begin));
      find_bins(piece, inverse_width, codes.data());
      counters.count({codes.data(), piece.size()});
    }
    counters.flush_to(counts_);
  }
  move_zeros();
}

void Histogram::move_zeros() {
  const auto first = counts_.begin() + kZeroCode;
  zeros_ = std::accumulate(first, counts_.end(), zeros_);
  std::fill(first, counts_.end(), 0);
}

void Histogram::merge(const Histogram& other) {
  zeros_ += other.zeros_;
  if (other.width_ == 0) return;
  if (width_ < other.width_) {
    widen_to(other.width_);
  } else if (other.width_ < width_) {
    Histogram widened = other;
    widened.widen_to(width_);
    widened.zeros_ = 0;
    return merge(widened);
  }
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

int64_t Histogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), zeros_);
}

}  // namespace narrow::calib
