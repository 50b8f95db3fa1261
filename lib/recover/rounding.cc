#include "lib/recover/rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/recover/vector_math.h"

namespace narrow::recover {
namespace {

constexpr int kMostSweeps = 20;

}  // namespace

double Grid::nearest(double weight) const {
  const double whole = std::floor(zero_point);
  return std::clamp(std::nearbyint(weight / scale + (zero_point - whole)) + whole, qmin, qmax);
}

RoundingProblem::RoundingProblem(const Moments& moments, const Matrix& weights, double ridge)
    : moments_(moments), weights_(weights), order_(static_cast<size_t>(moments.inner.rows)) {
  // Inputs that never vary leave the weights free: then the pull alone decides.
  const double variance = moments.variance_x;
  pull_ = variance > 0 ? ridge * variance : 1;
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) { return diagonal(a) < diagonal(b); });
  factor(variance);
}

double RoundingProblem::diagonal(int64_t column) const {
  return std::max(moments_.inner.at(column, column), 0.0) + pull_;
}

double RoundingProblem::cross(int64_t output, int64_t column) const {
  return moments_.cross.at(output, column) + pull_ * weights_.at(output, column);
}

void RoundingProblem::factor(double variance) {
  factor_ = Matrix(moments_.inner.rows, moments_.inner.rows);
  double extra = 0;  // more where rounding made it indefinite
  do {
    parallel_for(factor_.rows, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto from = moments_.inner.row(order_[static_cast<size_t>(i)]);
        const auto to = factor_.row(i);
        for (size_t j = 0; j < static_cast<size_t>(i); ++j) to[j] = from[static_cast<size_t>(order_[j])];
        to[static_cast<size_t>(i)] = diagonal(order_[static_cast<size_t>(i)]) + extra;
      }
    });
    ensure(std::isfinite(extra), "moments are finite");
    extra = extra > 0 ? extra * 10 : 1e-9 * (variance + pull_);
  } while (!factor_cholesky(factor_));
}

std::vector<std::vector<double>> RoundingProblem::nearest_planes(std::span<const int64_t> outputs,
                                                                 std::span<const GridRow> grids) const {
  // w A w - 2 c w is |L^T w - z|^2 with L z = c, but for a constant; the last row of L^T holds one column alone.
  Tile tile(factor_.rows);
  for (size_t t = 0; t < outputs.size(); ++t) {
    for (size_t i = 0; i < order_.size(); ++i) tile.rows[i].values[t] = cross(outputs[t], order_[i]);
  }
  solve_lower(factor_, tile);
  std::vector<std::vector<double>> integers(outputs.size(), std::vector<double>(order_.size()));
  solve_upper_choosing(factor_, tile, [&](int64_t row, TileRow& weights) {
    const auto column = static_cast<size_t>(order_[static_cast<size_t>(row)]);
    for (size_t t = 0; t < outputs.size(); ++t) {
      const Grid& numbers = grids[t].at(column);
      const double q = numbers.nearest(weights.values[t]);
      integers[t][column] = q;
      weights.values[t] = numbers.weight(q);
    }
  });
  return integers;
}

std::vector<RoundingProblem::Start> RoundingProblem::starts(std::span<const int64_t> outputs,
                                                            std::span<const GridRow> grids,
                                                            std::vector<std::vector<double>> integers) const {
  const int64_t columns = factor_.rows;
  Tile weights(columns);
  Tile rest(columns);
  for (size_t t = 0; t < outputs.size(); ++t) {
    for (int64_t i = 0; i < columns; ++i) {
      const auto at = static_cast<size_t>(i);
      const double weight = grids[t].at(at).weight(integers[t][at]);
      weights.at(i, t) = weight;
      rest.at(i, t) = cross(outputs[t], i) - (diagonal(i) - moments_.inner.at(i, i)) * weight;
    }
  }
  subtract_product(rest, moments_.inner, weights);
  std::vector<Start> result;
  for (size_t t = 0; t < outputs.size(); ++t) {
    Start& start = result.emplace_back(Start(*this, outputs[t], grids[t], std::move(integers[t])));
    for (int64_t i = 0; i < columns; ++i) start.gradient_.push_back(-rest.at(i, t));
  }
  return result;
}

void RoundingProblem::Start::descend() {
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    bool changed = false;
    for (size_t i = 0; i < integers_.size(); ++i) {
      const auto column = static_cast<int64_t>(i);
      const Grid& grid = grid_.at(i);
      const double curvature = problem_.diagonal(column);
      const double wanted = integers_[i] - gradient_[i] / (curvature * grid.scale);
      const double q = std::clamp(std::nearbyint(wanted), grid.qmin, grid.qmax);
      // A step must gain more than its own rounding: ties would go round in circles.
      if (std::abs(q - wanted) + 1e-9 >= std::abs(integers_[i] - wanted)) continue;
      const double step = (q - integers_[i]) * grid.scale;
      const auto row = problem_.moments_.inner.row(column);
      add_scaled(gradient_, step, row);
      gradient_[i] += step * (curvature - row[i]);
      integers_[i] = q;
      changed = true;
    }
    if (!changed) break;
  }
}

void RoundingProblem::Start::refit(std::span<const size_t> columns) {
  // Weights grow by `growth` times themselves: the quadratic's slope and curvature along them.
  std::vector<double> product(integers_.size());
  double slope = 0;
  double curvature = 0;
  for (const size_t i : columns) {
    const double weight = grid_.at(i).weight(integers_[i]);
    if (weight == 0) continue;
    const auto row = problem_.moments_.inner.row(static_cast<int64_t>(i));
    add_scaled(product, weight, row);
    product[i] += weight * (problem_.diagonal(static_cast<int64_t>(i)) - row[i]);
    slope += weight * gradient_[i];
  }
  for (const size_t i : columns) curvature += grid_.at(i).weight(integers_[i]) * product[i];
  if (!(curvature > 0)) return;
  const double old = grid_.at(columns.front()).scale;
  const double wanted = std::clamp(old * (1 - slope / curvature), old / 2, old * 2);
  const double scale = static_cast<double>(static_cast<float>(wanted));
  const double growth = scale / old - 1;
  if (2 * growth * slope + growth * growth * curvature >= 0) return;
  grid_.set_scale(columns, scale);
  add_scaled(gradient_, growth, product);
}

double RoundingProblem::Start::cost() const {
  // w A w - 2 c w, where the gradient is A w - c.
  double total = 0;
  for (size_t i = 0; i < integers_.size(); ++i) {
    total += grid_.at(i).weight(integers_[i]) * (gradient_[i] - problem_.cross(output_, static_cast<int64_t>(i)));
  }
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
