#include "lib/recover/rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

constexpr int kMostSweeps = 20;

}  // namespace

double Grid::nearest(double weight) const {
  return std::clamp(std::nearbyint(weight / scale) + zero_point, qmin, qmax);
}

RoundingProblem::RoundingProblem(const Moments& moments, const Matrix& weights, double ridge)
    : order_(static_cast<size_t>(moments.inner.rows)), inner_(moments.inner), cross_(moments.cross), weights_(weights) {
  // Inputs that never vary leave the weights free: then the pull alone decides.
  const double variance = moments.variance_x;
  const double pull = variance > 0 ? ridge * variance : 1;
  pull_ = pull;
  for (int64_t i = 0; i < inner_.rows; ++i) inner_.at(i, i) = std::max(inner_.at(i, i), 0.0) + pull;
  add_scaled(cross_.values, pull, weights.values);
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](int64_t a, int64_t b) { return inner_.at(a, a) < inner_.at(b, b); });
  factor_ = Matrix(inner_.rows, inner_.rows);
  for (int64_t i = 0; i < inner_.rows; ++i) {
    for (int64_t j = 0; j < inner_.rows; ++j) {
      factor_.at(i, j) = inner_.at(order_[static_cast<size_t>(i)], order_[static_cast<size_t>(j)]);
    }
  }
  Matrix shifted = factor_;
  for (double extra = 1e-9 * (variance + pull); !factor_cholesky(shifted); extra *= 10) {
    shifted = factor_;  // rounding made it indefinite
    for (int64_t i = 0; i < shifted.rows; ++i) shifted.at(i, i) += extra;
  }
  factor_ = std::move(shifted);
}

std::vector<double> RoundingProblem::nearest_plane(int64_t output, const GridRow& grid) const {
  const auto columns = order_.size();
  std::vector<double> target(columns);
  for (size_t i = 0; i < columns; ++i) target[i] = cross_.at(output, order_[i]);
  solve_cholesky(factor_, target);
  // |L^T (w - target)|^2, from the last column on: its row of L^T holds nothing else.
  std::vector<double> integers(columns);
  std::vector<double> carried(columns);  // sum over rounded k of L[k, j] (target - w)[k]
  for (size_t i = columns; i-- > 0;) {
    const auto row = factor_.row(static_cast<int64_t>(i));
    const auto column = static_cast<size_t>(order_[i]);
    const Grid& numbers = grid.at(column);
    const double q = numbers.nearest(target[i] + carried[i] / row[i]);
    integers[column] = q;
    add_scaled(std::span<double>(carried).first(i), target[i] - numbers.weight(q), row.first(i));
  }
  return integers;
}

RoundingProblem::Start::Start(const RoundingProblem& problem, int64_t output, GridRow grid,
                              std::vector<double> integers)
    : problem_(problem),
      output_(output),
      grid_(std::move(grid)),
      integers_(std::move(integers)),
      gradient_(integers_.size()) {
  const auto cross = problem_.cross_.row(output_);
  for (size_t i = 0; i < integers_.size(); ++i) {
    gradient_[i] -= cross[i];
    const double weight = grid_.at(i).weight(integers_[i]);
    if (weight != 0) add_scaled(gradient_, weight, problem_.inner_.row(static_cast<int64_t>(i)));
  }
}

void RoundingProblem::Start::descend() {
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    bool changed = false;
    for (size_t i = 0; i < integers_.size(); ++i) {
      const auto row = problem_.inner_.row(static_cast<int64_t>(i));
      const Grid& grid = grid_.at(i);
      const double wanted = integers_[i] - gradient_[i] / (row[i] * grid.scale);
      const double q = std::clamp(std::nearbyint(wanted), grid.qmin, grid.qmax);
      // A step must gain more than its own rounding: ties would go round in circles.
      if (std::abs(q - wanted) + 1e-9 >= std::abs(integers_[i] - wanted)) continue;
      add_scaled(gradient_, (q - integers_[i]) * grid.scale, row);
      integers_[i] = q;
      changed = true;
    }
    if (!changed) break;
  }
}

double RoundingProblem::Start::cost() const {
  // w A w - 2 c w, where the gradient is A w - c.
  const auto cross = problem_.cross_.row(output_);
  double total = 0;
  for (size_t i = 0; i < integers_.size(); ++i) total += grid_.at(i).weight(integers_[i]) * (gradient_[i] - cross[i]);
  return total;
}

double RoundingProblem::Start::error(double variance_y) const {
  // Without the pull the quadratic is w (A - p) w - 2 (c - p w0) w.
  const auto real = problem_.weights_.row(output_);
  double total = 0;
  for (size_t i = 0; i < integers_.size(); ++i) {
    const double weight = grid_.at(i).weight(integers_[i]);
    total += weight * (weight - 2 * real[i]);
  }
  return variance_y + cost() - problem_.pull_ * total;
}

}  // namespace narrow::recover
