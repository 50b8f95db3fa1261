#include "lib/exec/ref/pooling.h"

namespace narrow::exec {

int64_t padded_taps(const Window& window, const std::vector<int64_t>& spatial, const std::vector<int64_t>& index) {
  int64_t count = 1;
  for (size_t axis = 0; axis < spatial.size(); ++axis) {
    const int64_t first = index[axis] * window.strides[axis] - window.pads_begin[axis];
    int64_t inside = 0;
    for (int64_t tap = 0; tap < window.kernel[axis]; ++tap) {
      const int64_t at = first + tap * window.dilations[axis];
      if (at < spatial[axis] + window.pads_end[axis]) ++inside;
    }
    count *= inside;
  }
  return count;
}

int64_t column_major_position(int64_t position, const std::vector<int64_t>& spatial) {
  std::vector<int64_t> at(spatial.size());
  for (size_t axis = spatial.size(); axis-- > 0; position /= spatial[axis]) at[axis] = position % spatial[axis];
  int64_t result = 0;
  int64_t step = 1;
  for (size_t axis = 0; axis < spatial.size(); step *= spatial[axis++]) result += at[axis] * step;
  return result;
}

}  // namespace narrow::exec
