// A tensor seen as rows along one axis.
#pragma once

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

/// Shape [outer, count, inner] of a dense tensor; row r of outer * inner starts at start(r), its elements `inner`
/// apart.
struct AxisRows {
  int64_t outer = 1;
  int64_t count = 1;
  int64_t inner = 1;

  int64_t rows() const { return outer * inner; }
  int64_t start(int64_t row) const { return row / inner * count * inner + row % inner; }
};

inline AxisRows rows_along(const Shape& shape, size_t axis) {
  const std::span<const int64_t> dimensions(shape);
  return {product(dimensions.first(axis)), dimensions[axis], product(dimensions.subspan(axis + 1))};
}

/// Elements, or blocks of `inner` contiguous elements, of `x` in the order of `blocks`; strings too.
Tensor gather_blocks(const Tensor& x, const Shape& shape, const std::vector<int64_t>& blocks, int64_t inner,
                     Workspace& workspace);

}  // namespace narrow::exec
