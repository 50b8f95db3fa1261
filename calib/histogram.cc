#include "calib/histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "calib/histogram_kernels.h"
#include "lib/base/error.h"

namespace narrow::calib {
namespace {

constexpr size_t kCodes = kZeroCode + kZeroCodes;
constexpr size_t kPiece = 1024;  // values whose codes wait in the first-level cache
/// Counters side by side, taken in turn, so that equal neighbours do not wait for each other.
constexpr size_t kCounterSets = 4;
constexpr size_t kFlushAfter = size_t{1} << 16;  // each 16-bit counter sees at most a quarter of these

static_assert(kZeroCode == 2 * Histogram::kSideBins);

/// The narrowest power of two with max_abs < width * kSideBins.
double width_for(float max_abs) {
  const int exponent = std::ilogb(max_abs) + 1;  // max_abs < 2^exponent
  return std::max(std::ldexp(1.0, exponent) / Histogram::kSideBins, Histogram::kMinWidth);
}

void count_codes(const uint16_t* codes, size_t count, uint16_t* counters) {
  uint16_t* const first = counters;
  uint16_t* const second = counters + kCodes;
  uint16_t* const third = counters + 2 * kCodes;
  uint16_t* const fourth = counters + 3 * kCodes;
  size_t i = 0;
  for (; i + kCounterSets <= count; i += kCounterSets) {
    ++first[codes[i]];
    ++second[codes[i + 1]];
    ++third[codes[i + 2]];
    ++fourth[codes[i + 3]];
  }
  for (; i < count; ++i) ++first[codes[i]];
}

}  // namespace

void Histogram::widen_to(double width) {
  if (width <= width_) return;
  if (width_ == 0) {
    width_ = width;
    counts_.assign(2 * kSideBins, 0);
    return;
  }
  const int shift = std::ilogb(width / width_);
  width_ = width;
  std::vector<int64_t> merged(counts_.size(), 0);
  for (int k = -kSideBins; k < kSideBins; ++k) {
    const int target = k >> std::min(shift, 30);  // rounds down, so bin -1 stays -1: mirror images stay mirror images
    merged[static_cast<size_t>(target + kSideBins)] += counts_[static_cast<size_t>(k + kSideBins)];
  }
  counts_ = std::move(merged);
}

void Histogram::add(std::span<const float> values, float max_abs) {
  ensure(std::isfinite(max_abs) && max_abs >= 0, "a histogram takes finite values");
  if (max_abs == 0) {
    zeros_ += static_cast<int64_t>(values.size());
    return;
  }
  widen_to(width_for(max_abs));
  if (values.size() < kFlushAfter / 8) {
    add_few(values);
  } else {
    add_many(values);
  }
}

void Histogram::add_few(std::span<const float> values) {
  std::array<uint16_t, kPiece> codes;
  for (size_t begin = 0; begin < values.size(); begin += kPiece) {
    const auto piece = values.subspan(begin, std::min(kPiece, values.size() - begin));
    find_bins(piece, static_cast<float>(1 / width_), codes.data());
    for (size_t i = 0; i < piece.size(); ++i) ++(codes[i] >= kZeroCode ? zeros_ : counts_[codes[i]]);
  }
}

void Histogram::add_many(std::span<const float> values) {
  std::array<uint16_t, kPiece> codes;
  std::vector<uint16_t> counters(kCounterSets * kCodes, 0);
  const auto flush = [&] {
    for (size_t set = 0; set < kCounterSets; ++set) {
      const uint16_t* const from = counters.data() + set * kCodes;
      for (size_t code = 0; code < kZeroCode; ++code) counts_[code] += from[code];
      zeros_ += std::accumulate(from + kZeroCode, from + kCodes, int64_t{0});
    }
  };
  for (size_t block = 0; block < values.size(); block += kFlushAfter) {
    const size_t end = std::min(block + kFlushAfter, values.size());
    for (size_t begin = block; begin < end; begin += kPiece) {
      const auto piece = values.subspan(begin, std::min(kPiece, end - begin));
      find_bins(piece, static_cast<float>(1 / width_), codes.data());
      count_codes(codes.data(), piece.size(), counters.data());
    }
    flush();
    std::fill(counters.begin(), counters.end(), uint16_t{0});
  }
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
