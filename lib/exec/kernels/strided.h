// Copies between strided views: the one loop behind Transpose, Slice, Expand, Tile, Pad and the like.
#pragma once

#include <vector>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

/// Elements per step of each logical axis, in whatever order the tensor is stored.
std::vector<int64_t> element_strides(const Tensor& tensor);

/// Values by logical axis in the order of memory, outermost first.
std::vector<int64_t> in_memory_order(std::vector<int64_t> by_axis, Layout layout);

/// A tensor of `shape` and `layout` of the elements from[sum(index[i] * strides[i])], i counting logical axes.
Tensor strided_tensor(DataType type, const std::byte* from, const std::vector<int64_t>& strides, const Shape& shape,
                      Layout layout, Workspace& workspace);

/// Writes to dense `to` of `extents` the elements from[sum(index[i] * strides[i])]. Strides may be 0 or negative.
/// Strings are not moved here.
void copy_strided(DataType type, const std::byte* from, const std::vector<int64_t>& strides, std::byte* to,
                  const Shape& extents);

/// Writes dense `from` of `extents` to to[sum(index[i] * strides[i])].
void scatter_strided(DataType type, const std::byte* from, const Shape& extents, std::byte* to,
                     const std::vector<int64_t>& strides);

/// The axes in another order: axis i of the result is axis order[i] of the input, which may be stored in any order.
/// Shares storage where the elements stay where they are; the result is plain unless channels-last is `allowed` and
/// shares. Strings are not moved here.
Tensor permuted(const Tensor& input, const std::vector<int64_t>& order, Workspace& workspace,
                Layout allowed = Layout::kPlain);

}  // namespace narrow::exec
