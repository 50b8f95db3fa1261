#include "lib/exec/kernels/scale_groups.h"

namespace narrow::exec {

ScaleGroups scale_groups(const Tensor& x, const Tensor& scale, const Tensor& zero_point, int64_t axis, int64_t block) {
  if (zero_point.defined() && zero_point.size() != scale.size()) {
    throw Error(ErrorKind::kModel, "{} scales and {} zero points", scale.size(), zero_point.size());
  }
  if (scale.size() == 1) {
    // Pieces of their own for parallel work.
    return {.extent = x.size(), .block = std::clamp<int64_t>(x.size(), 1, kElementGrain)};
  }
  const auto at = static_cast<size_t>(normalize_axis(axis, x.rank()));
  const std::span<const int64_t> dimensions(x.shape());
  ScaleGroups groups{.sharing = block == 0 ? ScaleSharing::kAxis : ScaleSharing::kBlocks,
                     .outer = product(dimensions.first(at)),
                     .extent = dimensions[at],
                     .inner = product(dimensions.subspan(at + 1)),
                     .block = std::max<int64_t>(1, block)};
  Shape expected{dimensions[at]};
  if (block > 0) {
    expected = x.shape();
    expected[at] = (dimensions[at] + block - 1) / block;
  }
  if (scale.shape() != expected) {
    throw Error(ErrorKind::kModel, "scales {} do not fit {} along axis {} by blocks of {}", shape_text(scale.shape()),
                shape_text(x.shape()), at, block);
  }
  return groups;
}

}  // namespace narrow::exec
