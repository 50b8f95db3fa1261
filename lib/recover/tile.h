// Vectors side by side: one pass over a matrix serves all of them, with sums that stay in registers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lib/recover/matrix.h"

namespace narrow::recover {

/// Element i of up to kTile vectors.
constexpr size_t kTile = 32;
struct alignas(64) TileRow {
  std::array<double, kTile> values{};
};

/// Up to kTile vectors; what is not used is 0.
struct Tile {
  explicit Tile(int64_t count) : rows(static_cast<size_t>(count)) {}

  double& at(int64_t row, size_t vector) { return rows[static_cast<size_t>(row)].values[vector]; }
  double at(int64_t row, size_t vector) const { return rows[static_cast<size_t>(row)].values[vector]; }

  std::vector<TileRow> rows;
};

/// The lower triangle L of A = L L^T in place of A's, and L^T in place of the upper one. False if A is not positive
/// definite. Runs on the caller's threads; the result does not depend on how many they are.
bool factor_cholesky(Matrix& a);
/// x := L^-1 x, from the factor.
void solve_lower(const Matrix& factor, Tile& x);
/// From the last element on: row i of `x` becomes `choose(i, row i of L^-T x, given what was chosen for later rows)`.
/// `choose` is called as choose(int64_t row, TileRow& values) and changes the values into what stays.
template <class Choose>
void solve_upper_choosing(const Matrix& factor, Tile& x, Choose choose);
/// b := b - A x, `a` square.
void subtract_product(Tile& b, const Matrix& a, const Tile& x);

namespace tile_detail {
constexpr int64_t kRows = 4;  // of a matrix that are multiplied at once
/// result[r] -= sum over k < count of factors[r * stride + k] * tile[k], of up to kRows rows r.
void subtract_rows(TileRow* result, const double* factors, int64_t stride, int64_t rows, int64_t count,
                   const TileRow* tile);
}  // namespace tile_detail

template <class Choose>
void solve_upper_choosing(const Matrix& factor, Tile& x, Choose choose) {
  for (int64_t end = factor.rows; end > 0;) {
    const int64_t begin = end > tile_detail::kRows ? end - tile_detail::kRows : 0;
    TileRow* const rows = x.rows.data() + begin;
    // What later rows have chosen, all rows of this block at once; then row after row.
    if (end < factor.rows) {
      tile_detail::subtract_rows(rows, &factor.values[static_cast<size_t>(begin * factor.columns + end)],
                                 factor.columns, end - begin, factor.rows - end, x.rows.data() + end);
    }
    for (int64_t i = end; i-- > begin;) {
      const double* const later = factor.values.data() + i * factor.columns + i + 1;
      tile_detail::subtract_rows(x.rows.data() + i, later, factor.columns, 1, end - i - 1, x.rows.data() + i + 1);
      for (double& value : x.rows[static_cast<size_t>(i)].values) value /= factor.at(i, i);
      choose(i, x.rows[static_cast<size_t>(i)]);
    }
    end = begin;
  }
}

}  // namespace narrow::recover
