// Plain pooling.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "lib/exec/ref/convolution.h"

namespace narrow::exec {

enum class PoolKind { kMax, kAverage, kAverageIncludingPad, kLp };

/// `x` plain [N, C, spatial...], `y` [N, C, window.output...]. `indices` (max only, may be nullptr): position of the
/// maximum in the whole tensor, counted row-major, or column-major over the spatial axes.
struct PoolSpec {
  PoolKind kind = PoolKind::kMax;
  double p = 2;  // of kLp
  bool column_major_indices = false;
};

/// Elements of the padded input under the window; what ceil_mode adds beyond the padding does not count.
int64_t padded_taps(const Window& window, const std::vector<int64_t>& spatial, const std::vector<int64_t>& index);

/// The same position counted column-major over the spatial axes.
int64_t column_major_position(int64_t position, const std::vector<int64_t>& spatial);

/// What one output position has seen of its window.
template <class T>
struct PooledTaps {
  T best = std::numeric_limits<T>::lowest();
  int64_t best_at = -1;
  double sum = 0;
  int64_t count = 0;

  void add(const PoolSpec& spec, T value, int64_t at) {
    ++count;
    if (spec.kind == PoolKind::kMax) {
      if (best_at >= 0 && !(value > best)) return;
      best = value;
      best_at = at;
    } else {
      const auto wide = static_cast<double>(value);
      sum += spec.kind == PoolKind::kLp ? std::pow(std::abs(wide), spec.p) : wide;
    }
  }

  T result(const PoolSpec& spec) const {
    if (spec.kind == PoolKind::kMax) return best;
    if (spec.kind == PoolKind::kLp) return static_cast<T>(std::pow(sum, 1 / spec.p));
    return count == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(count));
  }
};

template <class T>
void pool(const PoolSpec& spec, const Shape& x_shape, const T* x, const Window& window, T* y, int64_t* indices) {
  const std::vector<int64_t> spatial = spatial_dimensions(x_shape);
  const int64_t source_size = element_count(spatial);
  const int64_t output_size = element_count(window.output);
  if (output_size == 0) return;
  parallel_for(x_shape[0] * x_shape[1], 1, [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const T* image = x + plane * source_size;
      std::vector<int64_t> index(spatial.size(), 0);
      int64_t at_output = plane * output_size;
      do {
        PooledTaps<T> taps;
        for_each_tap(window, spatial, index, [&](int64_t, int64_t at) { taps.add(spec, image[at], at); });
        if (spec.kind == PoolKind::kAverageIncludingPad) taps.count = padded_taps(window, spatial, index);
        y[at_output] = taps.result(spec);
        if (indices != nullptr) {
          indices[at_output] =
              plane * source_size +
              (spec.column_major_indices ? column_major_position(taps.best_at, spatial) : taps.best_at);
        }
        ++at_output;
      } while (next_index(index, window.output));
    }
  });
}

}  // namespace narrow::exec
