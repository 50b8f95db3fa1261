// Loops over rows of float32 compiled for each instruction set. Sums go over 16 interleaved parts wherever they run, so
// every instruction set gives the same bits.
#pragma once

#include <cstddef>

namespace narrow::exec {

/// y = exp(x - max(x)) / sum. May work in place. The exponential is right within 2 units in the last place.
void softmax_row(const float* x, float* y, size_t count);

struct RowMoments {
  double mean = 0;
  double variance = 0;
};
/// In float64; `centred`: otherwise the mean is taken as 0.
RowMoments row_moments(const float* x, size_t count, bool centred);

/// y = float((x - mean) * factor), then * scale[i] + shift[i]; `shift` may be null.
void normalize_row(const float* x, double mean, double factor, const float* scale, const float* shift, float* y,
                   size_t count);

}  // namespace narrow::exec
