// Products of rows with rows, summed over the rows: the inner loops of moments.
#pragma once

#include <cstddef>
#include <span>

namespace narrow::recover {

/// Floats behind the last row that the loops below may read.
constexpr size_t kRowPadding = 32;

/// Columns of a panel.
constexpr size_t kPanel = 32;

/// Rows of a matrix, kPanel columns of all rows and then the next ones, so that the loops read what lies together.
/// Columns that fill the last panel up are 0.
struct Panels {
  const float* values = nullptr;
  size_t rows = 0;

  const float* panel(size_t column) const { return values + column / kPanel * rows * kPanel + column % kPanel; }
};

/// A part of a matrix of sums: rows [first, last) and columns [first_column, columns).
struct ProductTarget {
  double* values = nullptr;
  size_t columns = 0;
  size_t first = 0;
  size_t last = 0;
  size_t first_column = 0;  // a multiple of kPanel
};

/// Rows of a target that are summed at once; kPanel is a multiple of it.
constexpr size_t kProductRows = 8;
/// target[i, j] += sum over rows of a[row, i] * b[row, j]. Summed in float32 within each block, from the row in `ends`
/// to the next one there. `first` is a multiple of kProductRows.
void add_products(const ProductTarget& target, const Panels& a, const Panels& b, std::span<const size_t> ends);

/// Channels that are multiplied at once, each with itself alone.
constexpr size_t kLanes = 16;
/// sums[tap * kLanes + c] += sum over rows of a[row * a_width + c] * b[row * b_width + tap * step + c].
struct LaneProducts {
  const float* a = nullptr;
  size_t a_width = 0;
  const float* b = nullptr;
  size_t b_width = 0;
  size_t step = 0;
  size_t taps = 0;
  size_t rows = 0;
};
void add_lane_products(double* sums, const LaneProducts& of);

}  // namespace narrow::recover
