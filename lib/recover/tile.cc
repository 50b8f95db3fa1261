#include "lib/recover/tile.h"

#include <algorithm>
#include <cmath>

#include "lib/base/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/recover/tile.cc"
#include <hwy/foreach_target.h>
// Highway wants its header after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::recover::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Each element has one sum, in the order of k; products are rounded before they are added, also where a fused operation
// exists: the same bits on every CPU.
template <size_t kRows>
HWY_INLINE void subtract_some(TileRow* result, const double* factors, size_t stride, size_t count,
                              const TileRow* tile) {
  const hn::CappedTag<double, 8> d;
  constexpr size_t kLanes = hn::MaxLanes(d);
  constexpr size_t kVectors = 4;  // at a time: as many sums as there are registers
  for (size_t at = 0; at < kTile; at += kVectors * kLanes) {
    hn::Vec<decltype(d)> sums[kRows][kVectors];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sums[r][v] = hn::Load(d, result[r].values.data() + at + v * kLanes);
    }
    for (size_t k = 0; k < count; ++k) {
      const double* const from = tile[k].values.data() + at;
      for (size_t r = 0; r < kRows; ++r) {
        const auto factor = hn::Set(d, factors[r * stride + k]);
        for (size_t v = 0; v < kVectors; ++v) {
          sums[r][v] = hn::Sub(sums[r][v], hn::Mul(factor, hn::Load(d, from + v * kLanes)));
        }
      }
    }
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) hn::Store(sums[r][v], d, result[r].values.data() + at + v * kLanes);
    }
  }
}

HWY_ATTR void subtract_rows(TileRow* result, const double* factors, int64_t stride, int64_t rows, int64_t count,
                            const TileRow* tile) {
  const auto steps = static_cast<size_t>(stride);
  const auto terms = static_cast<size_t>(count);
  if (rows == tile_detail::kRows) return subtract_some<tile_detail::kRows>(result, factors, steps, terms, tile);
  for (int64_t r = 0; r < rows; ++r) subtract_some<1>(result + r, factors + r * stride, steps, terms, tile);
}

}  // namespace narrow::recover::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::recover {

HWY_EXPORT(subtract_rows);

void tile_detail::subtract_rows(TileRow* result, const double* factors, int64_t stride, int64_t rows, int64_t count,
                                const TileRow* tile) {
  if (count > 0) HWY_DYNAMIC_DISPATCH(subtract_rows)(result, factors, stride, rows, count, tile);
}

namespace {

using tile_detail::kRows;

/// Some columns of the factor, from the left: `width` from `first` on.
class Panel {
 public:
  Panel(Matrix& a, int64_t first)
      : a_(a), first_(first), width_(std::min(static_cast<int64_t>(kTile), a.rows - first)), left_(first) {
    for (int64_t k = 0; k < first; ++k) copy_row(k, left_.rows[static_cast<size_t>(k)]);
  }

  bool factor() {
    if (!factor_diagonal()) return false;
    const int64_t below = first_ + width_;
    parallel_for((a_.rows - below + kRows - 1) / kRows, 8, [&](int64_t begin, int64_t end) {
      for (int64_t block = begin; block < end; ++block) factor_rows(below + block * kRows);
    });
    for (int64_t t = 0; t < width_; ++t) {
      for (int64_t i = below; i < a_.rows; ++i) a_.at(first_ + t, i) = a_.at(i, first_ + t);
    }
    return true;
  }

 private:
  void copy_row(int64_t row, TileRow& to) const {
    const auto from = a_.row(row).subspan(static_cast<size_t>(first_), static_cast<size_t>(width_));
    std::copy(from.begin(), from.end(), to.values.begin());
  }

  /// Rows of A from `row` on less what the columns to the left explain.
  std::array<TileRow, kRows> rest(int64_t row, int64_t rows) const {
    std::array<TileRow, kRows> result;
    for (int64_t r = 0; r < rows; ++r) copy_row(row + r, result[static_cast<size_t>(r)]);
    tile_detail::subtract_rows(result.data(), a_.values.data() + row * a_.columns, a_.columns, rows, first_,
                               left_.rows.data());
    return result;
  }

  bool factor_diagonal() {
    for (int64_t t = 0; t < width_; t += kRows) {
      const int64_t rows = std::min(kRows, width_ - t);
      const auto values = rest(first_ + t, rows);
      for (int64_t r = 0; r < rows; ++r) {
        if (!factor_row(t + r, values[static_cast<size_t>(r)])) return false;
      }
    }
    return true;
  }

  /// Row `t` of the diagonal block, rows above being done.
  bool factor_row(int64_t t, TileRow values) {
    solve_row(values, t);
    double rest = values.values[static_cast<size_t>(t)];
    for (int64_t j = 0; j < t; ++j) {
      const double value = values.values[static_cast<size_t>(j)];
      rest -= value * value;
      a_.at(first_ + t, first_ + j) = a_.at(first_ + j, first_ + t) = value;
    }
    if (!(rest > 0)) return false;
    a_.at(first_ + t, first_ + t) = std::sqrt(rest);
    return true;
  }

  void factor_rows(int64_t row) {
    const int64_t rows = std::min(kRows, a_.rows - row);
    auto values = rest(row, rows);
    for (int64_t r = 0; r < rows; ++r) {
      TileRow& solved = values[static_cast<size_t>(r)];
      solve_row(solved, width_);
      std::copy_n(solved.values.begin(), width_, a_.row(row + r).begin() + first_);
    }
  }

  /// The first `count` elements of a row of the factor, each from those before it.
  void solve_row(TileRow& row, int64_t count) const {
    for (int64_t j = 0; j < count; ++j) {
      const double* const of_diagonal = a_.row(first_ + j).data() + first_;
      const double value = row.values[static_cast<size_t>(j)] /= of_diagonal[j];
      for (int64_t k = j + 1; k < count; ++k) row.values[static_cast<size_t>(k)] -= value * of_diagonal[k];
    }
  }

  Matrix& a_;
  int64_t first_;
  int64_t width_;
  Tile left_;  // the factor's columns to the left, of the rows `first` and on
};

}  // namespace

bool factor_cholesky(Matrix& a) {
  for (int64_t first = 0; first < a.rows; first += static_cast<int64_t>(kTile)) {
    if (!Panel(a, first).factor()) return false;
  }
  return true;
}

void solve_lower(const Matrix& factor, Tile& x) {
  for (int64_t begin = 0; begin < factor.rows; begin += kRows) {
    const int64_t rows = std::min(kRows, factor.rows - begin);
    const double* const factors = factor.values.data() + begin * factor.columns;
    tile_detail::subtract_rows(x.rows.data() + begin, factors, factor.columns, rows, begin, x.rows.data());
    for (int64_t r = 0; r < rows; ++r) {
      tile_detail::subtract_rows(x.rows.data() + begin + r, factors + r * factor.columns + begin, factor.columns, 1, r,
                                 x.rows.data() + begin);
      for (double& value : x.rows[static_cast<size_t>(begin + r)].values) value /= factor.at(begin + r, begin + r);
    }
  }
}

void subtract_product(Tile& b, const Matrix& a, const Tile& x) {
  for (int64_t row = 0; row < a.rows; row += kRows) {
    tile_detail::subtract_rows(b.rows.data() + row, a.values.data() + row * a.columns, a.columns,
                               std::min(kRows, a.rows - row), a.columns, x.rows.data());
  }
}

}  // namespace narrow::recover
#endif
