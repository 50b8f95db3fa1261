#include "lib/quant/sum_places.h"

#include "lib/base/error.h"

namespace narrow::quant {
namespace {

/// Places of all indices of `axes`, the last of them running fastest.
std::vector<int64_t> places(const Shape& shape, const std::vector<int64_t>& axes) {
  const std::vector<int64_t> strides = dense_strides(shape);
  std::vector<int64_t> starts{0};
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

bool contains(const std::vector<int64_t>& axes, int64_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

std::vector<size_t> scale_numbers(const std::vector<int64_t>& places, const ElementGroups& scales) {
  std::vector<size_t> numbers;
  numbers.reserve(places.size());
  for (const int64_t place : places) numbers.push_back(scales.group_of(static_cast<size_t>(place)));
  return numbers;
}

std::vector<PlaceRun> runs_of(const std::vector<int64_t>& places, const std::vector<size_t>& scales, size_t longest) {
  std::vector<PlaceRun> runs;
  for (size_t i = 0; i < places.size(); ++i) {
    if (!runs.empty()) {
      PlaceRun& run = runs.back();
      const size_t step = scales[i] - scales[i - 1];  // wraps around where it falls
      const bool fits = step <= 1 && (run.count == 1 || step == run.step);
      if (places[i] == places[i - 1] + 1 && fits && run.count < longest) {
        run.step = step;
        ++run.count;
        continue;
      }
    }
    runs.push_back({i, 1, 0});
  }
  return runs;
}

/// Whether the innermost axis that has any length is not summed over.
bool are_columns(const Shape& shape, const std::vector<int64_t>& axes) {
  auto innermost = static_cast<int64_t>(shape.size()) - 1;
  while (innermost > 0 && shape[static_cast<size_t>(innermost)] == 1) --innermost;
  return !contains(axes, innermost);
}

}  // namespace

std::vector<SumPlaces> sum_places(const Shape& shape, const SumAxes& sum_axes, const ElementGroups& scales,
                                  size_t longest) {
  std::vector<SumPlaces> result;
  std::vector<int64_t> axes;  // outermost first; each list holds those before it
  for (const std::vector<int64_t>& list : sum_axes) {
    std::vector<int64_t> more;
    for (const int64_t axis : list) {
      if (!contains(axes, axis)) more.push_back(axis);
    }
    ensure(axes.size() + more.size() == list.size(), "a list of axes holds the one before it");
    axes.insert(axes.begin(), more.begin(), more.end());
    std::vector<int64_t> others;
    for (int64_t axis = 0; axis < static_cast<int64_t>(shape.size()); ++axis) {
      if (!contains(axes, axis)) others.push_back(axis);
    }
    SumPlaces sums{.starts = places(shape, others),
                   .offsets = places(shape, axes),
                   .start_scales = {},
                   .offset_scales = {},
                   .columns = are_columns(shape, axes),
                   .runs = {}};
    sums.start_scales = scale_numbers(sums.starts, scales);
    sums.offset_scales = scale_numbers(sums.offsets, scales);
    sums.runs = sums.columns ? runs_of(sums.starts, sums.start_scales, longest)
                             : runs_of(sums.offsets, sums.offset_scales, longest);
    result.push_back(std::move(sums));
  }
  return result;
}

}  // namespace narrow::quant
