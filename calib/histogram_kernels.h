// The two inner loops of observing, vectorized for whatever CPU runs them.
#pragma once

#include <cstdint>
#include <span>

namespace narrow::calib {

/// What one pass over floats tells.
struct Extremes {
  int64_t not_finite = 0;  // NaN and infinity
  float min = 0;           // of the finite elements; 0 if none. Never -0
  float max = 0;
};

Extremes find_extremes(std::span<const float> values);

/// Codes of find_bins are kSideBins + k for bin k, and kZeroCode + (0 .. kZeroCodes - 1) for a zero: neighbouring zeros
/// get different codes, so that counting a run of them does not wait on one counter.
inline constexpr int kZeroCode = 8192;
inline constexpr int kZeroCodes = 16;

/// codes[i] for values[i]; |values[i]| * inverse_width must be below 4096.
void find_bins(std::span<const float> values, float inverse_width, uint16_t* codes);

}  // namespace narrow::calib
