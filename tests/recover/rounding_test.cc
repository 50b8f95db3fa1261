#include "lib/recover/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "lib/recover/row_products.h"

namespace narrow::recover {
namespace {

void add_row(Sums& sums, std::vector<float> x, std::vector<float> y) {
  x.resize(x.size() + kRowPadding);
  y.resize(y.size() + kRowPadding);
  const Rows rows{.x = std::move(x), .y = std::move(y), .count = 1, .made = {}};
  const Rows* const block = &rows;
  std::vector<Sums> groups{std::move(sums)};
  add_rows(groups, 1, {&block, 1});
  sums = std::move(groups[0]);
}

/// Moments of random inputs mixed by a random matrix: strongly correlated where `mixing` is large.
Moments correlated(const Matrix& weights, double mixing) {
  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  const auto columns = static_cast<size_t>(weights.columns);
  Sums sums(weights.columns, weights.rows);
  for (int row = 0; row < 500; ++row) {
    const double common = normal(random);
    std::vector<float> x(columns);
    for (float& value : x) value = static_cast<float>(normal(random) + mixing * common);
    std::vector<float> y(static_cast<size_t>(weights.rows));
    for (size_t o = 0; o < y.size(); ++o) {
      for (size_t k = 0; k < columns; ++k) {
        y[o] += static_cast<float>(weights.at(static_cast<int64_t>(o), static_cast<int64_t>(k))) * x[k];
      }
    }
    add_row(sums, std::move(x), std::move(y));
  }
  return Moments(std::move(sums));
}

Matrix random_weights(int64_t rows, int64_t columns) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Matrix weights(rows, columns);
  for (double& value : weights.values) value = uniform(random);
  return weights;
}

std::vector<double> dequantized(const std::vector<double>& integers, const GridRow& grid) {
  std::vector<double> weights;
  for (size_t i = 0; i < integers.size(); ++i) weights.push_back(grid.at(i).weight(integers[i]));
  return weights;
}

double output_error(const Moments& moments, int64_t output, const std::vector<double>& weights) {
  return output_errors(moments, {&output, 1}, {weights})[0];
}

std::vector<double> nearest_plane(const RoundingProblem& problem, int64_t output, const GridRow& grid) {
  return problem.nearest_planes({&output, 1}, {&grid, 1})[0];
}

RoundingProblem::Start start_at(const RoundingProblem& problem, int64_t output, const GridRow& grid,
                                std::vector<double> integers) {
  return problem.starts({&output, 1}, {&grid, 1}, {std::move(integers)})[0];
}

std::vector<double> nearest(const Matrix& weights, int64_t row, const GridRow& grid) {
  std::vector<double> integers;
  for (size_t i = 0; i < weights.row(row).size(); ++i)
    integers.push_back(grid.at(i).nearest(weights.at(row, static_cast<int64_t>(i))));
  return integers;
}

TEST(Rounding, CorrelatedInputsLoseMostOfTheError) {
  const Matrix weights = random_weights(4, 24);
  const Moments moments = correlated(weights, 5);
  const GridRow grid(Grid{.scale = 1.0 / 7, .zero_point = 0, .qmin = -7, .qmax = 7});
  const RoundingProblem problem(moments, weights, 1e-3);
  double error_plain = 0;
  double error_chosen = 0;
  for (int64_t row = 0; row < 4; ++row) {
    const std::vector<double> plain = nearest(weights, row, grid);
    RoundingProblem::Start start = start_at(problem, row, grid, nearest_plane(problem, row, grid));
    start.descend();
    const std::vector<double>& chosen = start.integers();
    const double error = output_error(moments, row, dequantized(chosen, grid));
    EXPECT_NEAR(start.error(moments.variance_y[static_cast<size_t>(row)]), error, 1e-9);
    for (const double q : chosen) {
      EXPECT_EQ(q, std::nearbyint(q));
      EXPECT_LE(std::abs(q), 7);
    }
    error_plain += output_error(moments, row, dequantized(plain, grid));
    error_chosen += output_error(moments, row, dequantized(chosen, grid));
  }
  EXPECT_LT(error_chosen, 0.5 * error_plain);
}

TEST(Rounding, WeightsOnTheGridStay) {
  Matrix weights(1, 6);
  weights.values = {-7, 3, 0, 2, 7, -1};
  for (double& value : weights.values) value /= 7;
  const GridRow grid(Grid{.scale = 1.0 / 7, .zero_point = 0, .qmin = -7, .qmax = 7});
  const Moments moments = correlated(weights, 2);
  const RoundingProblem problem(moments, weights, 1e-2);
  RoundingProblem::Start start = start_at(problem, 0, grid, nearest_plane(problem, 0, grid));
  start.descend();
  EXPECT_EQ(start.integers(), (std::vector<double>{-7, 3, 0, 2, 7, -1}));
}

TEST(Rounding, UncorrelatedInputsAndAStrongPullGiveTheNearest) {
  const Matrix weights = random_weights(2, 10);
  const Moments moments = correlated(weights, 0);
  const GridRow grid(Grid{.scale = 1.0 / 127, .zero_point = 0, .qmin = -127, .qmax = 127});
  const RoundingProblem problem(moments, weights, 1e6);
  for (int64_t row = 0; row < 2; ++row) {
    EXPECT_EQ(nearest_plane(problem, row, grid), nearest(weights, row, grid));
  }
}

/// All columns of a row.
std::vector<size_t> every_column(const Matrix& weights) {
  std::vector<size_t> columns(static_cast<size_t>(weights.columns));
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

// Against a search over scales with the same integers.
TEST(Rounding, ALearnedScaleIsTheBestForItsIntegers) {
  const Matrix weights = random_weights(3, 16);
  const Moments moments = correlated(weights, 2);
  const GridRow coarse(Grid{.scale = 0.4, .zero_point = 0, .qmin = -2, .qmax = 1});
  const RoundingProblem problem(moments, weights, 1e-2);
  for (int64_t row = 0; row < 3; ++row) {
    RoundingProblem::Start start = start_at(problem, row, coarse, nearest(weights, row, coarse));
    const double before = start.cost();
    double best = before;
    for (double scale = 0.2; scale < 0.8; scale += 0.001) {
      const GridRow other(Grid{.scale = scale, .zero_point = 0, .qmin = -2, .qmax = 1});
      best = std::min(best, start_at(problem, row, other, start.integers()).cost());
    }
    start.refit(every_column(weights));
    EXPECT_LT(start.cost(), before);
    EXPECT_NEAR(start.cost(), best, 1e-3 * (before - best));
    EXPECT_NEAR(start.cost(), start_at(problem, row, start.grid(), start.integers()).cost(), 1e-9);
  }
}

TEST(Rounding, AScaleThatFitsStays) {
  Matrix weights(1, 6);
  weights.values = {-2, 1, 0, 1, -1, 1};
  const GridRow grid(Grid{.scale = 1, .zero_point = 0, .qmin = -2, .qmax = 1});
  const Moments moments = correlated(weights, 1);
  const RoundingProblem problem(moments, weights, 1e-2);
  RoundingProblem::Start start = start_at(problem, 0, grid, {-2, 1, 0, 1, -1, 1});
  start.refit(every_column(weights));
  EXPECT_NEAR(start.grid().at(0).scale, 1, 1e-6);
}

TEST(Rounding, DescentNeverMakesTheQuadraticLarger) {
  const Matrix weights = random_weights(3, 16);
  const Moments moments = correlated(weights, 3);
  const GridRow grid(Grid{.scale = 2.0 / 15, .zero_point = 8, .qmin = 0, .qmax = 15});
  const RoundingProblem problem(moments, weights, 1e-2);
  double gain = 0;
  for (int64_t row = 0; row < 3; ++row) {
    RoundingProblem::Start start = start_at(problem, row, grid, nearest(weights, row, grid));
    const double before = start.cost();
    start.descend();
    const double after = start.cost();
    EXPECT_LE(after, before);
    gain += before - after;
  }
  EXPECT_GT(gain, 0);
}

TEST(Rounding, OutputsSolvedTogetherAreThoseSolvedAlone) {
  const Matrix weights = random_weights(40, 19);
  const Moments moments = correlated(weights, 3);
  const GridRow grid(Grid{.scale = 1.0 / 7, .zero_point = 0, .qmin = -7, .qmax = 7});
  const RoundingProblem problem(moments, weights, 1e-2);
  std::vector<int64_t> outputs(kTile);
  std::iota(outputs.begin(), outputs.end(), 8);
  const std::vector<GridRow> grids(kTile, grid);
  const auto together = problem.nearest_planes(outputs, grids);
  for (size_t t = 0; t < kTile; ++t) EXPECT_EQ(together[t], nearest_plane(problem, outputs[t], grid));
}

TEST(Rounding, InputsThatNeverVaryLeaveTheNearest) {
  const Matrix weights = random_weights(1, 3);
  Sums sums(3, 1);
  add_row(sums, {1, 2, 3}, {5});
  add_row(sums, {1, 2, 3}, {5});
  const GridRow grid(Grid{.scale = 0.1, .zero_point = 0, .qmin = -7, .qmax = 7});
  const Moments moments(sums);
  const RoundingProblem problem(moments, weights, 1e-3);
  EXPECT_EQ(nearest_plane(problem, 0, grid), nearest(weights, 0, grid));
}

}  // namespace
}  // namespace narrow::recover
