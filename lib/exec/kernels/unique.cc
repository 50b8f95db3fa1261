// Unique: the different elements, or slices along an axis.
#include <cmath>
#include <numeric>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

// -1, 0 or 1; NaN is the largest and differs from every other NaN.
template <class T>
int compare_values(const T& a, const T& b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) ? 1 : -1;
  }
  return a < b ? -1 : static_cast<int>(b < a);
}

struct Groups {
  std::vector<int64_t> first;    // index of each group's first member
  std::vector<int64_t> inverse;  // group of each slice
  std::vector<int64_t> counts;   // members of each group
};

// Lexicographic over the elements of slices a and b.
template <class T>
int compare_slices(const T* x, const AxisRows& rows, int64_t a, int64_t b) {
  for (int64_t o = 0; o < rows.outer; ++o) {
    for (int64_t i = 0; i < rows.inner; ++i) {
      const T* base = x + o * rows.count * rows.inner + i;
      if (const int order = compare_values(base[a * rows.inner], base[b * rows.inner]); order != 0) return order;
    }
  }
  return 0;
}

template <class T>
Groups group_slices(const T* x, const AxisRows& rows) {
  std::vector<int64_t> order(static_cast<size_t>(rows.count));
  std::iota(order.begin(), order.end(), 0);
  // By index where equal, so that the first member of a group comes first. A NaN is less than no NaN.
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    const int forward = compare_slices(x, rows, a, b);
    const bool tied = forward == 0 || (forward > 0 && compare_slices(x, rows, b, a) > 0);
    return tied ? a < b : forward < 0;
  });
  Groups groups;
  groups.inverse.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare_slices(x, rows, order[i - 1], order[i]) != 0) {
      groups.first.push_back(order[i]);
      groups.counts.push_back(0);
    }
    ++groups.counts.back();
    groups.inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(groups.first.size()) - 1;
  }
  return groups;
}

Groups group_tensor(const Tensor& x, const AxisRows& rows) {
  if (x.type() == DataType::kString) return group_slices(x.strings().data(), rows);
  Groups groups;
  dispatch_type(FixedTypes(), x.type(), [&]<class T>() { groups = group_slices(x.data<T>().data(), rows); });
  return groups;
}

// Groups in the order in which they appear.
Groups by_appearance(const Groups& sorted) {
  std::vector<int64_t> order(sorted.first.size());
  std::iota(order.begin(), order.end(), 0);
  const auto first = [&](int64_t group) { return sorted.first[static_cast<size_t>(group)]; };
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return first(a) < first(b); });
  std::vector<int64_t> rank(order.size());
  Groups result;
  for (size_t i = 0; i < order.size(); ++i) {
    rank[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    result.first.push_back(first(order[i]));
    result.counts.push_back(sorted.counts[static_cast<size_t>(order[i])]);
  }
  for (const int64_t group : sorted.inverse) result.inverse.push_back(rank[static_cast<size_t>(group)]);
  return result;
}

Tensor int64_vector(const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

}  // namespace

KernelPtr make_unique(const KernelRequest& request) {
  const bool flat = graph::find_attribute(*request.node, "axis") == nullptr;
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  const bool sorted = graph::int_attribute(*request.node, "sorted", 1) != 0;
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const size_t axis = flat ? 0 : static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
    const AxisRows rows = flat ? AxisRows{1, x.size(), 1} : rows_along(x.shape(), axis);
    Groups groups = group_tensor(x, rows);
    if (!sorted) groups = by_appearance(groups);
    Shape shape = flat ? Shape{0} : x.shape();
    shape[axis] = static_cast<int64_t>(groups.first.size());
    std::vector<int64_t> blocks;
    for (int64_t o = 0; o < rows.outer; ++o) {
      for (const int64_t row : groups.first) blocks.push_back(o * rows.count + row);
    }
    outputs[0] = gather_blocks(x, shape, blocks, rows.inner, workspace);
    if (outputs.size() > 1) outputs[1] = int64_vector(groups.first);
    if (outputs.size() > 2) outputs[2] = int64_vector(groups.inverse);
    if (outputs.size() > 3) outputs[3] = int64_vector(groups.counts);
  });
}

}  // namespace narrow::exec
