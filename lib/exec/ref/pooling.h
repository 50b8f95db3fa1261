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
        T best = std::numeric_limits<T>::lowest();
        int64_t best_at = -1;
        double sum = 0;
        int64_t taps = 0;
        for_each_tap(window, spatial, index, [&](int64_t, int64_t at) {
          const T value = image[at];
          ++taps;
          if (spec.kind == PoolKind::kMax) {
            if (best_at >= 0 && !(value > best)) return;
            best = value;
            best_at = at;
          } else {
            sum += spec.kind == PoolKind::kLp ? std::pow(std::abs(static_cast<double>(value)), spec.p)
                                              : static_cast<double>(value);
          }
        });
        if (spec.kind == PoolKind::kAverageIncludingPad) taps = padded_taps(window, spatial, index);
        switch (spec.kind) {
          case PoolKind::kMax:
            y[at_output] = best;
            break;
          case PoolKind::kLp:
            y[at_output] = static_cast<T>(std::pow(sum, 1 / spec.p));
            break;
          default:
            y[at_output] = taps == 0 ? T{0} : static_cast<T>(sum / static_cast<double>(taps));
        }
        if (indices != nullptr) {
          int64_t position = best_at;
          if (spec.column_major_indices) {
            position = 0;
            int64_t step = 1;
            std::vector<int64_t> at(spatial.size());
            for (size_t axis = spatial.size(); axis-- > 0; best_at /= spatial[axis]) at[axis] = best_at % spatial[axis];
            for (size_t axis = 0; axis < spatial.size(); step *= spatial[axis++]) position += at[axis] * step;
          }
          indices[at_output] = plane * source_size + position;
        }
        ++at_output;
      } while (next_index(index, window.output));
    }
  });
}

}  // namespace narrow::exec
