#include "lib/quant/sum_order.h"

#include <algorithm>

#include "lib/base/error.h"

namespace narrow::quant {
namespace {

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

/// Places of all indices of `axes`, the last of them running fastest, relative to `starts`.
std::vector<int64_t> places(const Shape& shape, const std::vector<int64_t>& axes, std::vector<int64_t> starts) {
  const std::vector<int64_t> strides = row_major_strides(shape);
  for (const int64_t axis : axes) {
    const auto at = static_cast<size_t>(axis);
    std::vector<int64_t> next;
    next.reserve(starts.size() * static_cast<size_t>(shape[at]));
    for (const int64_t start : starts) {
      for (int64_t i = 0; i < shape[at]; ++i) next.push_back(start + i * strides[at]);
    }
    starts = std::move(next);
  }
  return starts;
}

}  // namespace

SumOrder sum_order(const Shape& shape, const SumAxes& sum_axes) {
  std::vector<int64_t> axes;  // outermost first; each list holds those before it
  std::vector<size_t> runs;
  for (const std::vector<int64_t>& list : sum_axes) {
    std::vector<int64_t> more;
    for (const int64_t axis : list) {
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) more.push_back(axis);
    }
    ensure(axes.size() + more.size() == list.size(), "a list of axes holds the one before it");
    axes.insert(axes.begin(), more.begin(), more.end());
    size_t run = 1;
    for (const int64_t axis : axes) run *= static_cast<size_t>(shape[static_cast<size_t>(axis)]);
    runs.push_back(run);
  }
  std::vector<int64_t> others;
  for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis) {
    if (std::find(axes.begin(), axes.end(), axis) == axes.end()) others.push_back(axis);
  }
  return {.starts = places(shape, others, {0}), .offsets = places(shape, axes, {0}), .runs = std::move(runs)};
}

}  // namespace narrow::quant
