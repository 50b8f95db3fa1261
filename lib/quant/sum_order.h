#pragma once

#include <cstdint>
#include <vector>

#include "lib/tensor/shape.h"

namespace narrow::quant {

/// Elements in an order in which those of every list of axes lie next to each other.
struct SumOrder {
  std::vector<int64_t> starts;   // of the last list's groups
  std::vector<int64_t> offsets;  // from a start
  std::vector<size_t> runs;      // length of each list's groups, in `offsets`
};

/// Each list of axes holds the one before it.
SumOrder sum_order(const Shape& shape, const SumAxes& sum_axes);

}  // namespace narrow::quant
