// Dense float64 matrices, as much as least squares over a layer's inputs needs.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace narrow::recover {

/// Row-major.
struct Matrix {
  Matrix() = default;
  Matrix(int64_t row_count, int64_t column_count)
      : rows(row_count), columns(column_count), values(static_cast<size_t>(row_count * column_count), 0.0) {}

  std::span<double> row(int64_t i) {
    return std::span<double>(values).subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns));
  }
  std::span<const double> row(int64_t i) const {
    return std::span<const double>(values).subspan(static_cast<size_t>(i * columns), static_cast<size_t>(columns));
  }
  double& at(int64_t i, int64_t j) { return values[static_cast<size_t>(i * columns + j)]; }
  double at(int64_t i, int64_t j) const { return values[static_cast<size_t>(i * columns + j)]; }

  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<double> values;
};

}  // namespace narrow::recover
