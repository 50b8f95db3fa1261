// How a layer's outputs are shared out among threads, and what its integers weigh.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "lib/base/parallel.h"
#include "lib/recover/rounding.h"
#include "lib/recover/tile.h"

namespace narrow::recover {

/// Within another such loop it runs on one thread.
template <class Body>
void for_each_piece(int64_t count, Body body) {
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

inline std::vector<double> weights_of(const std::vector<double>& integers, const GridRow& grid) {
  std::vector<double> weights;
  for (size_t i = 0; i < integers.size(); ++i) weights.push_back(grid.at(i).weight(integers[i]));
  return weights;
}

inline std::vector<std::vector<double>> weights_of(const std::vector<std::vector<double>>& integers,
                                                   std::span<const GridRow> grids) {
  std::vector<std::vector<double>> weights;
  for (size_t t = 0; t < integers.size(); ++t) weights.push_back(weights_of(integers[t], grids[t]));
  return weights;
}

inline int64_t tiles_of(size_t outputs) {
  return static_cast<int64_t>((outputs + kTile - 1) / kTile);
}

/// Outputs that are solved together.
inline std::span<const int64_t> tile_of(std::span<const int64_t> outputs, int64_t tile) {
  const auto rest = outputs.subspan(static_cast<size_t>(tile) * kTile);
  return rest.first(std::min(rest.size(), kTile));
}

}  // namespace narrow::recover
