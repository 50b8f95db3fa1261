// NumPy broadcasting of N operands over one output, in memory order.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "lib/base/parallel.h"
#include "lib/exec/kernels/support.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// The shape that all operands broadcast to. Throws Error(kModel) naming two that do not fit.
Shape broadcast_shape(std::span<const Tensor* const> operands);

/// The order the result has: that of the operands of full rank (see LayoutUse::kAny).
Layout broadcast_layout(std::span<const Tensor* const> operands);

/// A constant operand of lower or equal rank, brought to `rank` and `layout` so that it broadcasts against a tensor of
/// that order.
Tensor align_constant(const Tensor& constant, size_t rank, Layout layout);

/// Loops over the output, axes merged where every operand is contiguous or constant over both.
struct BroadcastLoops {
  std::vector<int64_t> extents;               // outermost first, never empty
  std::vector<std::vector<int64_t>> strides;  // by operand and loop; 0 where it repeats
};
BroadcastLoops broadcast_loops(std::span<const Tensor* const> operands, const Shape& shape, Layout layout);

/// Calls row(output_offset, offsets, steps, count) for runs of elements that are contiguous in the output.
template <size_t N, class Row>
void for_each_row(const BroadcastLoops& loops, Row row) {
  const size_t depth = loops.extents.size();
  const int64_t width = loops.extents.back();
  const int64_t rows = product(std::span(loops.extents).first(depth - 1));
  std::array<int64_t, N> steps{};
  for (size_t i = 0; i < N; ++i) steps[i] = loops.strides[i].back();
  if (rows == 1) {
    parallel_for(width, kElementGrain, [&](int64_t begin, int64_t end) {
      std::array<int64_t, N> offsets{};
      for (size_t i = 0; i < N; ++i) offsets[i] = begin * steps[i];
      row(begin, offsets, steps, end - begin);
    });
    return;
  }
  if (width == 0) return;
  parallel_for(rows, std::max<int64_t>(1, kElementGrain / width), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> position(depth - 1);
    std::array<int64_t, N> offsets{};
    int64_t rest = begin;
    for (size_t axis = depth - 1; axis-- > 0;) {
      position[axis] = rest % loops.extents[axis];
      rest /= loops.extents[axis];
      for (size_t i = 0; i < N; ++i) offsets[i] += position[axis] * loops.strides[i][axis];
    }
    for (int64_t r = begin; r < end; ++r) {
      row(r * width, offsets, steps, width);
      for (size_t axis = depth - 1; axis-- > 0;) {
        for (size_t i = 0; i < N; ++i) offsets[i] += loops.strides[i][axis];
        if (++position[axis] < loops.extents[axis]) break;
        position[axis] = 0;
        for (size_t i = 0; i < N; ++i) offsets[i] -= loops.extents[axis] * loops.strides[i][axis];
      }
    }
  });
}

/// z[i] = f(x[i], y[i]) over the loops of two operands. `z` may be one of the operands if that is of full size.
template <class Out, class A, class B, class Function>
void broadcast_binary(const BroadcastLoops& loops, const A* a, const B* b, Out* out, Function f) {
  for_each_row<2>(loops, [&](int64_t start, const auto& offsets, const auto& steps, int64_t count) {
    const A* x = a + offsets[0];
    const B* y = b + offsets[1];
    Out* z = out + start;
    if (steps[0] == 1 && steps[1] == 1) {
      for (int64_t i = 0; i < count; ++i) z[i] = f(x[i], y[i]);
    } else if (steps[0] == 1 && steps[1] == 0) {
      const B value = *y;
      for (int64_t i = 0; i < count; ++i) z[i] = f(x[i], value);
    } else if (steps[0] == 0 && steps[1] == 1) {
      const A value = *x;
      for (int64_t i = 0; i < count; ++i) z[i] = f(value, y[i]);
    } else {
      for (int64_t i = 0; i < count; ++i) z[i] = f(x[i * steps[0]], y[i * steps[1]]);
    }
  });
}

}  // namespace narrow::exec
