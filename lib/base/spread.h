// Indices spread evenly over a range.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace narrow {

/// `count` indices of [0, size): round(linspace(0, size - 1, count)), half to even as numpy.round; all of them if there
/// are no more. Ascending, without repetition.
inline std::vector<int64_t> spread_indices(int64_t size, int64_t count) {
  const int64_t taken = std::clamp<int64_t>(count, 0, std::max<int64_t>(size, 0));
  std::vector<int64_t> result;
  for (int64_t i = 0; i < taken; ++i) {
    const double at =
        taken == 1 ? 0 : static_cast<double>(i) * static_cast<double>(size - 1) / static_cast<double>(taken - 1);
    result.push_back(static_cast<int64_t>(std::nearbyint(at)));
  }
  return result;
}

}  // namespace narrow
