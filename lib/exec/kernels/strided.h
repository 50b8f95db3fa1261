// Copies between strided views: the one loop behind Transpose, Slice, Expand, Tile, Pad and the like.
#pragma once

#include <vector>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

/// Elements per step of each axis of a dense tensor of this shape.
std::vector<int64_t> dense_strides(const Shape& shape);

/// Writes to dense `to` of `extents` the elements from[sum(index[i] * strides[i])]. Strides may be 0 or negative.
/// Strings are not moved here.
void copy_strided(DataType type, const std::byte* from, const std::vector<int64_t>& strides, std::byte* to,
                  const Shape& extents);

/// Writes dense `from` of `extents` to to[sum(index[i] * strides[i])].
void scatter_strided(DataType type, const std::byte* from, const Shape& extents, std::byte* to,
                     const std::vector<int64_t>& strides);

/// The axes in another order: axis i of the result is axis order[i] of the input. Strings are not moved here.
Tensor permuted(const Tensor& input, const std::vector<int64_t>& order, Workspace& workspace);

}  // namespace narrow::exec
