#include "lib/recover/matrix.h"

#include <cmath>

#include "lib/recover/vector_math.h"

namespace narrow::recover {

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
