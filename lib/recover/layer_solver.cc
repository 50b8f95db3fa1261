#include "lib/recover/layer_solver.h"

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/spread.h"
#include "lib/recover/vector_math.h"
#include "lib/recover/weight_scheme.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostColumns = 2400;  // 46 MB of moments each
constexpr int64_t kLeastRows = 10'000;  // of all samples together
constexpr int64_t kRowsPerColumn = 32;
constexpr std::array kRidges{1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0};
constexpr int64_t kMostJudged = 64;                            // outputs of a group that choose the ridge
constexpr double kLargestBias = static_cast<double>(1 << 30);  // as plan/weights.cc leaves room

/// Deterministic numbers in [0, 1): splitmix64 (Steele, Lea, Flood 2014).
double jitter(uint64_t seed) {
  seed += 0x9E3779B97F4A7C15U;
  seed = (seed ^ (seed >> 30U)) * 0xBF58476D1CE4E5B9U;
  seed = (seed ^ (seed >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<double>((seed ^ (seed >> 31U)) >> 11U) * 0x1p-53;
}

/// One position in each of `wanted` equal strata: no grid that a stride could meet.
std::vector<int64_t> spread_positions(int64_t all, int64_t wanted, int64_t sample) {
  std::vector<int64_t> positions;
  const int64_t taken = std::min(all, wanted);
  for (int64_t i = 0; i < taken; ++i) {
    const double u = taken == all ? 0 : jitter(static_cast<uint64_t>(sample * 1'000'003 + i));
    const double at = (static_cast<double>(i) + u) * static_cast<double>(all) / static_cast<double>(taken);
    positions.push_back(std::min(static_cast<int64_t>(at), all - 1));
  }
  return positions;
}

}  // namespace

std::unique_ptr<LayerSolver> LayerSolver::of(const graph::Model& model, const graph::GraphIndex& index,
                                             const onnx::NodeProto& node, const plan::LayerPlan& layer,
                                             float input_scale) {
  const onnx::TensorProto& initializer = *index.initializer(layer.weight->initializer);
  const Tensor weight = model.tensor(initializer);
  auto columns = layer.weight->input == 1 ? Columns::of(node, weight.shape()) : std::nullopt;
  if (!columns || columns->columns() > kMostColumns || columns->columns() == 0) return nullptr;
  const bool has_bias = layer.bias_input && node.input_size() > *layer.bias_input;
  const bool float_bias = !layer.bias_input && node.input_size() > 2 && !node.input(2).empty();
  if (float_bias) return nullptr;
  auto solver = std::unique_ptr<LayerSolver>(new LayerSolver);
  solver->node_ = node.name();
  solver->input_scale_ = input_scale;
  solver->columns_ = columns;
  solver->weight_ = weight;
  solver->params_ = layer.weight->params;
  if (has_bias) solver->bias_ = model.tensor(*index.initializer(node.input(*layer.bias_input)));
  const quant::Scheme scheme = weight_scheme(weight, solver->params_);
  const quant::IntegerLimits limits =
      quant::integer_limits(scheme.type, {.symmetric = scheme.symmetric, .reduce_range = scheme.reduce_range});
  solver->qmin_ = static_cast<double>(limits.qmin);
  solver->qmax_ = static_cast<double>(limits.qmax);
  for (auto& fold : solver->sums_) {
    fold.assign(static_cast<size_t>(columns->groups()), Sums(columns->columns(), columns->outputs()));
  }
  return solver;
}

LayerRows LayerSolver::read(int64_t sample, int64_t samples, const Tensor& x, const Tensor& y) const {
  const Columns& columns = *columns_;
  const int64_t wanted = std::max(kLeastRows, kRowsPerColumn * columns.columns()) / samples + 1;
  const std::vector<int64_t> positions = spread_positions(columns.positions(y.shape()), wanted, sample);
  std::vector<float> inputs(positions.size() * static_cast<size_t>(columns.columns()));
  std::vector<float> outputs(positions.size() * static_cast<size_t>(columns.outputs()));
  LayerRows rows;
  for (int64_t group = 0; group < columns.groups(); ++group) {
    columns.read_inputs(x, y.shape(), group, positions, inputs);
    columns.read_outputs(y, group, positions, outputs);
    add_rows(rows.emplace_back(columns.columns(), columns.outputs()), inputs, outputs);
  }
  return rows;
}

void LayerSolver::add(int64_t sample, const LayerRows& rows) {
  auto& fold = sums_[static_cast<size_t>(sample) % kFolds];
  for (size_t group = 0; group < rows.size(); ++group) fold[group].add(rows[group]);
}

Matrix LayerSolver::group_weights(int64_t group) const {
  Matrix weights(columns_->outputs(), columns_->columns());
  const auto values = weight_.data<float>();
  for (int64_t output = 0; output < weights.rows; ++output) {
    for (int64_t column = 0; column < weights.columns; ++column) {
      weights.at(output, column) = static_cast<double>(values[columns_->weight_index(group, output, column)]);
    }
  }
  return weights;
}

Grid LayerSolver::grid(int64_t group, int64_t output) const {
  const auto at = static_cast<size_t>(params_.axis ? group * columns_->outputs() + output : 0);
  return {.scale = static_cast<double>(params_.scales[at]),
          .zero_point = static_cast<double>(params_.zero_points[at]),
          .qmin = qmin_,
          .qmax = qmax_};
}

namespace {

std::vector<double> weights_of(const std::vector<double>& integers, const Grid& grid) {
  std::vector<double> weights;
  for (const double q : integers) weights.push_back(grid.weight(q));
  return weights;
}

}  // namespace

Moments LayerSolver::moments_without(size_t fold, int64_t group) const {
  Sums all(columns_->columns(), columns_->outputs());
  for (size_t other = 0; other < kFolds; ++other) {
    if (other != fold) all.add(sums_[other][static_cast<size_t>(group)]);
  }
  return Moments(all);
}

double LayerSolver::held_error(double ridge) const {
  double total = 0;
  for (size_t fold = 0; fold < kFolds; ++fold) {
    for (int64_t group = 0; group < columns_->groups(); ++group) {
      const Moments own = moments_without(fold, group);
      const Moments other(sums_[fold][static_cast<size_t>(group)]);
      const RoundingProblem problem(own, group_weights(group), ridge);
      std::vector<double> errors(static_cast<size_t>(columns_->outputs()));
      const std::vector<int64_t> judged = spread_indices(columns_->outputs(), kMostJudged);
      parallel_for(static_cast<int64_t>(judged.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t output = judged[static_cast<size_t>(i)];
          const Grid numbers = grid(group, output);
          errors[static_cast<size_t>(output)] =
              output_error(other, output, weights_of(problem.nearest_plane(output, numbers), numbers));
        }
      });
      for (const double error : errors) total += error;
    }
  }
  return total;
}

double LayerSolver::judged_energy() const {
  double total = 0;
  for (const std::vector<Sums>& fold : sums_) {
    for (const Sums& sums : fold) {
      const Moments moments(sums);
      for (const int64_t output : spread_indices(columns_->outputs(), kMostJudged)) {
        total += moments.variance_y[static_cast<size_t>(output)];
      }
    }
  }
  return total;
}

LayerSolver::Ridge LayerSolver::choose_ridge() const {
  // The error on samples left out falls and rises again: from the middle, downhill.
  size_t at = kRidges.size() / 2;
  std::array<std::optional<double>, kRidges.size()> errors;
  const auto error_of = [&](size_t i) {
    if (!errors[i]) errors[i] = held_error(kRidges[i]);
    return *errors[i];
  };
  for (;;) {
    if (at + 1 < kRidges.size() && error_of(at + 1) < error_of(at)) {
      ++at;
    } else if (at > 0 && error_of(at - 1) < error_of(at)) {
      --at;
    } else {
      return {kRidges[at], error_of(at)};
    }
  }
}

void LayerSolver::solve_group(int64_t group, double ridge, LayerSolution& solution, std::vector<double>& errors) const {
  const Moments moments = moments_without(kFolds, group);
  const Matrix weights = group_weights(group);
  const RoundingProblem problem(moments, weights, ridge);
  const auto chosen = solution.weight.mutable_data<float>();
  const auto biases = solution.bias.defined() ? solution.bias.mutable_data<float>() : std::span<float>();
  std::vector<std::array<double, 3>> found(static_cast<size_t>(columns_->outputs()));
  parallel_for(columns_->outputs(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t output = begin; output < end; ++output) {
      const Grid numbers = grid(group, output);
      const auto real = weights.row(output);
      std::vector<double> nearest;
      for (const double weight : real) nearest.push_back(numbers.nearest(weight));
      std::vector<double> integers = problem.nearest_plane(output, numbers);
      if (problem.cost(output, weights_of(nearest, numbers)) < problem.cost(output, weights_of(integers, numbers))) {
        integers = nearest;
      }
      problem.descend(output, numbers, integers);
      const std::vector<double> rounded = weights_of(integers, numbers);
      for (int64_t column = 0; column < columns_->columns(); ++column) {
        chosen[columns_->weight_index(group, output, column)] =
            static_cast<float>(rounded[static_cast<size_t>(column)]);
      }
      const auto channel = static_cast<size_t>(group * columns_->outputs() + output);
      const auto at = static_cast<size_t>(output);
      if (!biases.empty()) {
        // mean_y holds the float bias already.
        const double wanted = moments.mean_y[at] - dot(rounded, moments.mean_x);
        const double limit = kLargestBias * numbers.scale * static_cast<double>(input_scale_);
        if (std::abs(wanted) < limit) biases[channel] = static_cast<float>(wanted);
      }
      found[at] = {output_error(moments, output, weights_of(nearest, numbers)), output_error(moments, output, rounded),
                   moments.variance_y[at]};
    }
  });
  for (const auto& values : found) {
    for (size_t i = 0; i < values.size(); ++i) errors[i] += values[i];
  }
}

LayerSolution LayerSolver::solve() const {
  LayerSolution solution{.weight = weight_, .params = params_, .bias = bias_, .outcome = {.node = node_}};
  const auto [ridge, held] = choose_ridge();
  std::vector<double> errors(3);
  for (int64_t group = 0; group < columns_->groups(); ++group) solve_group(group, ridge, solution, errors);
  const double energy = errors[2] > 0 ? errors[2] : 1;
  solution.outcome.nearest_error = errors[0] / energy;
  solution.outcome.recovered_error = errors[1] / energy;
  const double judged = judged_energy();
  solution.outcome.held_error = judged > 0 ? held / judged : 0;
  solution.outcome.ridge = ridge;
  return solution;
}

}  // namespace narrow::recover
