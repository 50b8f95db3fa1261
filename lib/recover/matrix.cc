#include "lib/recover/matrix.h"

#include <array>
#include <cmath>

namespace narrow::recover {

double dot(std::span<const double> a, std::span<const double> b) {
  constexpr size_t kLanes = 8;  // independent sums: the processor need not wait for one addition to begin the next
  std::array<double, kLanes> sums{};
  const size_t whole = a.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (size_t i = whole; i < a.size(); ++i) sums[i - whole] += a[i] * b[i];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

void add_scaled(std::span<double> target, double factor, std::span<const double> source) {
  for (size_t i = 0; i < target.size(); ++i) target[i] += factor * source[i];
}

bool factor_cholesky(Matrix& a) {
  for (int64_t i = 0; i < a.rows; ++i) {
    const auto row = a.row(i);
    for (int64_t j = 0; j <= i; ++j) {
      const auto length = static_cast<size_t>(j);
      const double rest = a.at(i, j) - dot(row.first(length), a.row(j).first(length));
      if (j < i) {
        a.at(i, j) = rest / a.at(j, j);
        continue;
      }
      if (!(rest > 0)) return false;
      a.at(i, i) = std::sqrt(rest);
    }
  }
  return true;
}

void solve_cholesky(const Matrix& factor, std::span<double> x) {
  for (int64_t i = 0; i < factor.rows; ++i) {
    const auto at = static_cast<size_t>(i);
    x[at] = (x[at] - dot(factor.row(i).first(at), x.first(at))) / factor.at(i, i);
  }
  for (int64_t i = factor.rows; i-- > 0;) {
    const auto at = static_cast<size_t>(i);
    x[at] /= factor.at(i, i);
    add_scaled(x.first(at), -x[at], factor.row(i).first(at));
  }
}

}  // namespace narrow::recover
