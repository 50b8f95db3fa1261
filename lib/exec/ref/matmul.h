// Plain matrix products.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/tensor/shape.h"

namespace narrow::exec {

/// Sizes of an ONNX MatMul: batch axes broadcast, rank-1 operands get an axis that the result loses again.
struct MatmulGeometry {
  int64_t rows = 0;
  int64_t depth = 0;
  int64_t columns = 0;
  std::vector<int64_t> a_batches;  // offset, in matrices, of each product's operands
  std::vector<int64_t> b_batches;
  Shape result;
};

/// Throws Error(kModel) if the shapes do not fit.
MatmulGeometry matmul_geometry(const Shape& a, const Shape& b);

/// target[j] += factor * (row[j] - zero[j]); zero: one value or one per column.
template <class B, class Sum>
void add_scaled_row(Sum factor, const B* row, const std::vector<Sum>& zero, int64_t columns, Sum* target) {
  if (zero.size() == 1) {
    for (int64_t j = 0; j < columns; ++j) target[j] += factor * (static_cast<Sum>(row[j]) - zero[0]);
    return;
  }
  for (int64_t j = 0; j < columns; ++j) {
    target[j] += factor * (static_cast<Sum>(row[j]) - zero[static_cast<size_t>(j)]);
  }
}

/// y = (a - a_zero[row]) x (b - b_zero[column]) for each batch; zeros: one value or one per row or column.
template <class A, class B, class Sum>
void multiply(const MatmulGeometry& geometry, const A* a, const B* b, const std::vector<Sum>& a_zero,
              const std::vector<Sum>& b_zero, Sum* y) {
  const int64_t rows = geometry.rows;
  const int64_t depth = geometry.depth;
  const int64_t columns = geometry.columns;
  const auto batches = static_cast<int64_t>(geometry.a_batches.size());
  parallel_for(batches * rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const auto batch = static_cast<size_t>(line / rows);
      const int64_t row = line % rows;
      const A* x = a + geometry.a_batches[batch] * rows * depth + row * depth;
      const B* matrix = b + geometry.b_batches[batch] * depth * columns;
      const Sum x_zero = a_zero[a_zero.size() == 1 ? 0 : static_cast<size_t>(row)];
      Sum* target = y + line * columns;
      for (int64_t j = 0; j < columns; ++j) target[j] = Sum{};
      for (int64_t k = 0; k < depth; ++k) {
        const Sum factor = static_cast<Sum>(x[k]) - x_zero;
        add_scaled_row(factor, matrix + k * columns, b_zero, columns, target);
      }
    }
  });
}

}  // namespace narrow::exec
