// Softmax, LogSoftmax and Hardmax.
#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/row_loops.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

// Rows along an axis; before opset 13 the axis splits the tensor into a matrix whose rows are normalized.
struct Rows {
  int64_t outer = 1;
  int64_t count = 1;
  int64_t inner = 1;
};

Rows rows_of(const Tensor& x, int64_t wanted_axis, bool flattens) {
  const std::span<const int64_t> dimensions(x.shape());
  if (dimensions.empty()) return {};
  const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, x.rank()));
  if (flattens) return {product(dimensions.first(axis)), product(dimensions.subspan(axis)), 1};
  return {product(dimensions.first(axis)), dimensions[axis], product(dimensions.subspan(axis + 1))};
}

template <class T>
void any_softmax_row(const T* x, T* y, int64_t count, int64_t step, bool logarithm) {
  T largest = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, x[i * step]);
  T sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const T power = std::exp(x[i * step] - largest);
    sum += power;
    if (!logarithm) y[i * step] = power;
  }
  if (logarithm) {
    const T shift = largest + std::log(sum);
    for (int64_t i = 0; i < count; ++i) y[i * step] = x[i * step] - shift;
    return;
  }
  for (int64_t i = 0; i < count; ++i) y[i * step] /= sum;
}

// Without an early end, so that the loop vectorizes.
bool all_finite(const float* x, int64_t count) {
  constexpr uint32_t kExponent = 0x7F800000U;
  uint32_t odd = 0;
  for (int64_t i = 0; i < count; ++i) odd |= (std::bit_cast<uint32_t>(x[i]) & kExponent) == kExponent ? 1U : 0U;
  return odd == 0;
}

template <class RowFunction>
KernelPtr by_row(const KernelRequest& request, RowFunction function) {
  const bool flattens = request.opset < 13;
  const int64_t axis = graph::int_attribute(*request.node, "axis", flattens ? 1 : -1);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    const Rows rows = rows_of(x, axis, flattens);
    outputs[0] = workspace.allocate(x.type(), x.shape());
    dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
      const T* from = x.data<T>().data();
      T* to = outputs[0].mutable_data<T>().data();
      // An exponential costs about as much as ten plain operations.
      const int64_t grain = std::max<int64_t>(1, kElementGrain / 10 / std::max<int64_t>(1, rows.count));
      parallel_for(rows.outer * rows.inner, grain, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t start = row / rows.inner * rows.count * rows.inner + row % rows.inner;
          function(from + start, to + start, rows.count, rows.inner);
        }
      });
    });
  });
}

}  // namespace

KernelPtr make_softmax(const KernelRequest& request) {
  const bool logarithm = request.node->op_type() == "LogSoftmax";
  return by_row(request, [logarithm](const auto* x, auto* y, int64_t count, int64_t step) {
    if constexpr (std::is_same_v<decltype(x), const float*>) {
      const bool plain = step == 1 && !logarithm && all_finite(x, count);
      if (plain) return softmax_row(x, y, static_cast<size_t>(count));
    }
    any_softmax_row(x, y, count, step, logarithm);
  });
}

KernelPtr make_hardmax(const KernelRequest& request) {
  return by_row(request, [](const auto* x, auto* y, int64_t count, int64_t step) {
    int64_t best = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (x[i * step] > x[best * step]) best = i;
      y[i * step] = 0;
    }
    if (count > 0) y[best * step] = 1;
  });
}

}  // namespace narrow::exec
