// Plain convolution: the oracle of the fast ones, and the way out where they do not apply.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/window.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// Calls visit(kernel_offset, source_offset) for each kernel element whose source lies inside the input.
template <class Visit>
void for_each_tap(const Window& window, const std::vector<int64_t>& spatial, const std::vector<int64_t>& output_index,
                  Visit visit) {
  const size_t rank = spatial.size();
  std::vector<int64_t> tap(rank, 0);
  for (int64_t kernel_offset = 0;; ++kernel_offset) {
    int64_t source = 0;
    bool inside = true;
    for (size_t axis = 0; axis < rank; ++axis) {
      const int64_t at =
          output_index[axis] * window.strides[axis] - window.pads_begin[axis] + tap[axis] * window.dilations[axis];
      inside = inside && at >= 0 && at < spatial[axis];
      source = source * spatial[axis] + at;
    }
    if (inside) visit(kernel_offset, source);
    size_t axis = rank;
    while (axis-- > 0) {
      if (++tap[axis] < window.kernel[axis]) break;
      tap[axis] = 0;
      if (axis == 0) return;
    }
  }
}

/// Advances a row-major index; false after the last.
inline bool next_index(std::vector<int64_t>& index, const std::vector<int64_t>& extents) {
  for (size_t axis = index.size(); axis-- > 0;) {
    if (++index[axis] < extents[axis]) return true;
    index[axis] = 0;
  }
  return false;
}

/// One filter over the channels of one group: what convolve() adds up.
template <class Source, class Weight, class Sum>
struct FilteredChannels {
  const Source* image = nullptr;   // [channels, source_size]
  const Weight* filter = nullptr;  // [channels, kernel_size]
  int64_t channels = 0;
  int64_t source_size = 0;
  int64_t kernel_size = 0;
  Sum x_zero{};
  Sum w_zero{};

  /// Adds the products of kernel element `tap` and source element `at`.
  void add(int64_t tap, int64_t at, Sum& sum) const {
    for (int64_t c = 0; c < channels; ++c) {
      sum += (static_cast<Sum>(image[c * source_size + at]) - x_zero) *
             (static_cast<Sum>(filter[c * kernel_size + tap]) - w_zero);
    }
  }
};

/// y[n, m, ...] = sum over (x - x_zero) * (w - w_zero[m]). `x` [N, C, spatial...] of Source and `w` [M, C/groups,
/// kernel...] of Weight, plain; `y` [N, M, window.output...]. w_zero: one or M values.
template <class Source, class Weight, class Sum>
void convolve(const Tensor& x, const Tensor& w, const Window& window, int64_t groups, Sum x_zero,
              const std::vector<Sum>& w_zero, Sum* y) {
  const Shape& x_shape = x.shape();
  const Shape& w_shape = w.shape();
  const std::vector<int64_t> spatial = spatial_dimensions(x_shape);
  const int64_t channels = w_shape[1];
  const int64_t filters = w_shape[0];
  if (groups < 1 || x_shape[1] != channels * groups || filters % groups != 0) {
    throw Error(ErrorKind::kModel, "weight {} with {} groups does not fit {}", shape_text(w_shape), groups,
                shape_text(x_shape));
  }
  const int64_t source_size = element_count(spatial);
  const int64_t kernel_size = element_count(window.kernel);
  const int64_t output_size = element_count(window.output);
  const Source* images = x.data<Source>().data();
  const Weight* weights = w.data<Weight>().data();
  if (output_size == 0) return;
  parallel_for(x_shape[0] * filters, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t m = row % filters;
      const int64_t first_channel = m / (filters / groups) * channels;
      const FilteredChannels<Source, Weight, Sum> products{
          .image = images + (row / filters * x_shape[1] + first_channel) * source_size,
          .filter = weights + m * channels * kernel_size,
          .channels = channels,
          .source_size = source_size,
          .kernel_size = kernel_size,
          .x_zero = x_zero,
          .w_zero = w_zero[w_zero.size() == 1 ? 0 : static_cast<size_t>(m)]};
      Sum* target = y + row * output_size;
      std::vector<int64_t> index(spatial.size(), 0);
      do {
        Sum sum{};
        for_each_tap(window, spatial, index, [&](int64_t tap, int64_t at) { products.add(tap, at, sum); });
        *target++ = sum;
      } while (next_index(index, window.output));
    }
  });
}

}  // namespace narrow::exec
