// TopK, CumSum and CumProd.
#include <cmath>
#include <numeric>

#include "lib/exec/kernels/axis_rows.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

template <class T>
void top_row(const T* x, int64_t count, int64_t step, int64_t k, bool largest, T* values, int64_t* indices) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  // Of equal values the one with the smaller index comes first.
  const auto before = [&](int64_t a, int64_t b) {
    const T left = x[a * step];
    const T right = x[b * step];
    if (left != right) return largest ? left > right : left < right;
    return a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
  for (int64_t i = 0; i < k; ++i) {
    indices[i * step] = order[static_cast<size_t>(i)];
    values[i * step] = x[order[static_cast<size_t>(i)] * step];
  }
}

// Integers wrap around.
template <class T>
T accumulated(T total, T value, bool multiplies) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;
    const auto a = static_cast<Unsigned>(total);
    const auto b = static_cast<Unsigned>(value);
    return static_cast<T>(multiplies ? a * b : a + b);
  } else {
    return multiplies ? total * value : total + value;
  }
}

}  // namespace

KernelPtr make_top_k(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", -1);
  const bool largest = graph::int_attribute(*request.node, "largest", 1) != 0;
  const int64_t attribute = graph::int_attribute(*request.node, "k", 0);
  const Operand operand = request.opset >= 10 ? Operand(request, 1) : Operand();
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
    const AxisRows rows = rows_along(x.shape(), axis);
    const int64_t k = operand.present() ? static_cast<int64_t>(scalar_value(operand.required_in(inputs))) : attribute;
    if (k < 0 || k > rows.count) throw Error(ErrorKind::kModel, "k = {} of {} elements", k, rows.count);
    Shape shape = x.shape();
    shape[axis] = k;
    Tensor values = workspace.allocate(x.type(), shape);
    Tensor indices = workspace.allocate(DataType::kInt64, shape);
    dispatch_type(NumberTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = values.mutable_data<T>().data();
      int64_t* at = indices.mutable_data<int64_t>().data();
      for (int64_t row = 0; row < rows.outer * rows.inner; ++row) {
        const int64_t start = row / rows.inner * rows.count * rows.inner + row % rows.inner;
        const int64_t target = row / rows.inner * k * rows.inner + row % rows.inner;
        top_row(from + start, rows.count, rows.inner, k, largest, to + target, at + target);
      }
    });
    outputs[0] = std::move(values);
    if (outputs.size() > 1) outputs[1] = std::move(indices);
  });
}

// CumSum and CumProd.
KernelPtr make_cumulative(const KernelRequest& request) {
  const bool exclusive = graph::int_attribute(*request.node, "exclusive", 0) != 0;
  const bool reverse = graph::int_attribute(*request.node, "reverse", 0) != 0;
  const bool multiplies = request.node->op_type() == "CumProd";
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& x = required(inputs, 0);
        const auto wanted_axis = static_cast<int64_t>(scalar_value(operand.required_in(inputs)));
        const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
        const AxisRows rows = rows_along(x.shape(), axis);
        outputs[0] = workspace.allocate(x.type(), x.shape());
        dispatch_type(TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>(), x.type(), [&]<class T>() {
          const T* from = x.data<T>().data();
          T* to = outputs[0].mutable_data<T>().data();
          for (int64_t row = 0; row < rows.rows(); ++row) {
            const int64_t start = rows.start(row);
            T total = multiplies ? T{1} : T{0};
            for (int64_t i = 0; i < rows.count; ++i) {
              const int64_t at = start + (reverse ? rows.count - 1 - i : i) * rows.inner;
              const T next = accumulated(total, from[at], multiplies);
              to[at] = exclusive ? total : next;
              total = next;
            }
          }
        });
      });
}

}  // namespace narrow::exec
