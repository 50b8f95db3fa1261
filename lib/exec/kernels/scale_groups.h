// Which scale belongs to which element: per tensor, per axis, or per block of an axis.
#pragma once

#include <algorithm>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

enum class ScaleSharing { kTensor, kAxis, kBlocks };

/// A tensor [outer, extent, inner], in blocks of `block` along the extent. The scales are one, or [extent], or
/// [outer, ceil(extent / block), inner].
struct ScaleGroups {
  ScaleSharing sharing = ScaleSharing::kTensor;
  int64_t outer = 1;
  int64_t extent = 1;
  int64_t inner = 1;
  int64_t block = 1;
};

/// From QuantizeLinear's inputs and attributes. Throws Error(kModel) if the scales do not fit.
ScaleGroups scale_groups(const Tensor& x, const Tensor& scale, const Tensor& zero_point, int64_t axis, int64_t block);

/// Calls visit(group, step, begin, end) for runs of elements: element i has scale group + step * (i - begin).
template <class Visit>
void for_each_scale_run(const ScaleGroups& groups, Visit visit) {
  const int64_t blocks = (groups.extent + groups.block - 1) / groups.block;
  const int64_t block_size = groups.block * groups.inner;
  const int64_t row_size = groups.extent * groups.inner;
  const auto visit_block = [&](int64_t index) {
    const int64_t row = index / blocks;
    const int64_t column = index % blocks;
    const int64_t begin = row * row_size + column * block_size;
    const int64_t end = std::min(begin + block_size, (row + 1) * row_size);
    if (groups.sharing == ScaleSharing::kTensor) return visit(int64_t{0}, int64_t{0}, begin, end);
    if (groups.sharing == ScaleSharing::kAxis) return visit(column, int64_t{0}, begin, end);
    if (groups.inner == 1) return visit(index, int64_t{0}, begin, end);
    for (int64_t at = begin; at < end; at += groups.inner) {
      visit(index * groups.inner, int64_t{1}, at, at + groups.inner);
    }
  };
  if (row_size == 0) return;
  parallel_for(groups.outer * blocks, std::max<int64_t>(1, kElementGrain / block_size),
               [&](int64_t begin, int64_t end) {
                 for (int64_t index = begin; index < end; ++index) visit_block(index);
               });
}

}  // namespace narrow::exec
