// Reductions over axes, and the index of the extreme along one.
#include <algorithm>
#include <array>
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {
namespace {

enum class Reduction { kSum, kMean, kMax, kMin, kProd, kL1, kL2, kLogSum, kLogSumExp, kSumSquare };

Reduction reduction_of(std::string_view op) {
  if (op == "ReduceSum") return Reduction::kSum;
  if (op == "ReduceMean") return Reduction::kMean;
  if (op == "ReduceMax") return Reduction::kMax;
  if (op == "ReduceMin") return Reduction::kMin;
  if (op == "ReduceProd") return Reduction::kProd;
  if (op == "ReduceL1") return Reduction::kL1;
  if (op == "ReduceL2") return Reduction::kL2;
  if (op == "ReduceLogSum") return Reduction::kLogSum;
  return op == "ReduceLogSumExp" ? Reduction::kLogSumExp : Reduction::kSumSquare;
}

// Floats add up in float64, integers in (wrapping) uint64: exact or nearly so in either case.
template <class T>
using SumType = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

template <class T>
T extreme(const T* x, int64_t count, bool largest) {
  if (count == 0) {
    const bool has_infinity = std::numeric_limits<T>::has_infinity;
    if (largest) return has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
    return has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  }
  T best = x[0];
  for (int64_t i = 1; i < count; ++i) {
    if (largest ? x[i] > best : x[i] < best) best = x[i];
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(x[i])) return x[i];
    }
  }
  return best;
}

template <class T>
T log_sum_exp(const T* x, int64_t count) {
  if (count == 0) return static_cast<T>(-std::numeric_limits<double>::infinity());
  const double largest = static_cast<double>(extreme(x, count, true));
  if (std::isinf(largest)) return static_cast<T>(largest);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(x[i]) - largest);
  return static_cast<T>(largest + std::log(sum));
}

// Integer sums are modulo 2^64, so a negative integer enters as its two's complement.
template <class T>
SumType<T> summand(T x) {
  return static_cast<SumType<T>>(x);
}

template <class T>
T reduced_row(Reduction kind, const T* x, int64_t count) {
  using Sum = SumType<T>;
  if (kind == Reduction::kMax || kind == Reduction::kMin) return extreme(x, count, kind == Reduction::kMax);
  if (kind == Reduction::kLogSumExp) return log_sum_exp(x, count);
  Sum total = kind == Reduction::kProd ? 1 : 0;
  for (int64_t i = 0; i < count; ++i) {
    const Sum value = summand(x[i]);
    switch (kind) {
      case Reduction::kProd:
        total *= value;
        break;
      case Reduction::kL1:
        total += x[i] < T{0} ? Sum{0} - value : value;
        break;
      case Reduction::kL2:
      case Reduction::kSumSquare:
        total += value * value;
        break;
      default:
        total += value;
    }
  }
  if (kind == Reduction::kMean) {
    if constexpr (std::is_floating_point_v<T>) {
      return static_cast<T>(total / static_cast<double>(count));
    } else {
      if (count == 0) throw Error(ErrorKind::kModel, "mean of no integers");
      return static_cast<T>(static_cast<int64_t>(total) / count);
    }
  }
  if (kind == Reduction::kL2) return static_cast<T>(std::sqrt(static_cast<double>(total)));
  if (kind == Reduction::kLogSum) return static_cast<T>(std::log(static_cast<double>(total)));
  return static_cast<T>(total);
}

struct ReducedShape {
  Shape kept;   // with ones or without, as the node wants
  Shape order;  // extents: kept axes, then reduced ones
  std::vector<int64_t> strides;
  int64_t rows = 1;
  int64_t count = 1;
};

ReducedShape reduced_shape(const Shape& shape, const std::vector<int64_t>& axes, bool keep) {
  std::vector<bool> reduce(shape.size(), axes.empty());
  for (const int64_t axis : axes) reduce[static_cast<size_t>(normalize_axis(axis, shape.size()))] = true;
  const std::vector<int64_t> strides = dense_strides(shape);
  ReducedShape result;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (!reduce[axis]) {
      result.kept.push_back(shape[axis]);
      result.order.push_back(shape[axis]);
      result.strides.push_back(strides[axis]);
      result.rows *= shape[axis];
    } else if (keep) {
      result.kept.push_back(1);
    }
  }
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (!reduce[axis]) continue;
    result.order.push_back(shape[axis]);
    result.strides.push_back(strides[axis]);
    result.count *= shape[axis];
  }
  return result;
}

// Neighbouring axes reduced before others that stay: [outer, count, inner]. {0, 0, 0}: it is otherwise.
struct Columns {
  int64_t outer = 0;
  int64_t count = 0;
  int64_t inner = 0;
};

Columns columns_of(const Shape& shape, const std::vector<int64_t>& axes) {
  if (axes.empty() || axes.size() >= shape.size()) return {};
  std::vector<bool> reduce(shape.size(), false);
  for (const int64_t axis : axes) reduce[static_cast<size_t>(normalize_axis(axis, shape.size()))] = true;
  const auto first = std::find(reduce.begin(), reduce.end(), true);
  const auto last = std::find(first, reduce.end(), false);
  if (last == reduce.end() || std::find(last, reduce.end(), true) != reduce.end()) return {};
  const std::span<const int64_t> dimensions(shape);
  const auto begin = static_cast<size_t>(first - reduce.begin());
  const auto end = static_cast<size_t>(last - reduce.begin());
  return {product(dimensions.first(begin)), product(dimensions.subspan(begin, end - begin)),
          product(dimensions.subspan(end))};
}

// Columns [begin, end) of all outer * inner, some at once row by row: each sum goes over the same terms in the same
// order as reduced_row's.
template <class T>
void sum_columns(const Columns& columns, Reduction kind, const T* x, int64_t begin, int64_t end, T* to) {
  constexpr int64_t kAtOnce = 64;
  for (int64_t column = begin; column < end;) {
    const int64_t inner = column % columns.inner;
    const int64_t width = std::min({kAtOnce, columns.inner - inner, end - column});
    const T* from = x + column / columns.inner * columns.count * columns.inner + inner;
    std::array<double, kAtOnce> totals{};
    for (int64_t row = 0; row < columns.count; ++row) {
      const T* line = from + row * columns.inner;
      for (int64_t i = 0; i < width; ++i) totals[static_cast<size_t>(i)] += static_cast<double>(line[i]);
    }
    for (int64_t i = 0; i < width; ++i) {
      const double total = totals[static_cast<size_t>(i)];
      to[column + i] = static_cast<T>(kind == Reduction::kMean ? total / static_cast<double>(columns.count) : total);
    }
    column += width;
  }
}

// True if it was done: sums and means of floats over axes before others.
bool reduce_columns(Reduction kind, const Tensor& x, const std::vector<int64_t>& axes, Tensor& y) {
  const Columns columns = columns_of(x.shape(), axes);
  const bool sums = kind == Reduction::kSum || kind == Reduction::kMean;
  if (!sums || x.type() != DataType::kFloat32 || x.layout() != Layout::kPlain || columns.inner < 2) return false;
  const float* from = x.data<float>().data();
  float* to = y.mutable_data<float>().data();
  const int64_t grain = std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, columns.count));
  parallel_for(columns.outer * columns.inner, grain,
               [&](int64_t begin, int64_t end) { sum_columns(columns, kind, from, begin, end, to); });
  return true;
}

}  // namespace

KernelPtr make_reduce(const KernelRequest& request) {
  const Reduction kind = reduction_of(request.node->op_type());
  // ReduceSum took its axes as an input from opset 13 on, the others from 18 on.
  const int axes_input_since = kind == Reduction::kSum ? 13 : 18;
  const Operand operand = request.opset >= axes_input_since ? Operand(request, 1) : Operand();
  const auto attribute = graph::ints_attribute(*request.node, "axes");
  const bool keep = graph::int_attribute(*request.node, "keepdims", 1) != 0;
  const bool empty_is_identity = graph::int_attribute(*request.node, "noop_with_empty_axes", 0) != 0;
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const std::vector<int64_t> axes = axes_of(operand, attribute, inputs);
    ReducedShape shape = reduced_shape(x.shape(), axes, keep);
    if (axes.empty() && empty_is_identity) {
      // Each element is a row of its own: what the operator does to a single value still applies.
      shape = {
          .kept = x.shape(), .order = x.shape(), .strides = dense_strides(x.shape()), .rows = x.size(), .count = 1};
    }
    outputs[0] = workspace.allocate(x.type(), shape.kept);
    if (reduce_columns(kind, x, axes, outputs[0])) return;
    Tensor ordered = x;
    if (shape.strides != dense_strides(shape.order)) {
      ordered = workspace.allocate(x.type(), shape.order);
      copy_strided(x.type(), x.bytes(), shape.strides, ordered.mutable_bytes(), shape.order);
    }
    dispatch_type(FixedTypes(), x.type(), [&]<class T>() {
      using Element = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;
      const Element* from = elements<Element>(ordered);
      Element* to = mutable_elements<Element>(outputs[0]);
      parallel_for(shape.rows, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, shape.count)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t row = begin; row < end; ++row) {
                       to[row] = reduced_row(kind, from + row * shape.count, shape.count);
                     }
                   });
    });
  });
}

KernelPtr make_arg_extreme(const KernelRequest& request) {
  const bool largest = request.node->op_type() == "ArgMax";
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  const bool keep = graph::int_attribute(*request.node, "keepdims", 1) != 0;
  const bool last = graph::int_attribute(*request.node, "select_last_index", 0) != 0;
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
    const std::span<const int64_t> dimensions(x.shape());
    const int64_t inner = product(dimensions.subspan(axis + 1));
    const int64_t count = dimensions[axis];
    if (count == 0) throw Error(ErrorKind::kModel, "no elements to choose from");
    Shape shape = x.shape();
    shape[axis] = 1;
    if (!keep) shape.erase(shape.begin() + static_cast<int64_t>(axis));
    outputs[0] = workspace.allocate(DataType::kInt64, shape);
    const auto to = outputs[0].mutable_data<int64_t>();
    dispatch_type(NumberTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      for (size_t i = 0; i < to.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        const T* line = from + row / inner * count * inner + row % inner;
        int64_t best = 0;
        for (int64_t k = 1; k < count; ++k) {
          const T value = line[k * inner];
          const T reigning = line[best * inner];
          if ((largest ? value > reigning : value < reigning) || (last && value == reigning)) best = k;
        }
        to[i] = best;
      }
    });
  });
}

}  // namespace narrow::exec
