#include "lib/recover/layer_solver.h"

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/spread.h"
#include "lib/quant/element_groups.h"
#include "lib/recover/vector_math.h"
#include "lib/recover/weight_scheme.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostColumns = 2400;  // 46 MB of moments each
constexpr std::array kRidges{1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0};
constexpr double kJudgingRowsPerColumn = 8;
constexpr int64_t kMostJudged = 48;                            // outputs of a group that choose the ridge
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

/// Undefined without one; nullopt for one that is no constant with an element for each output.
std::optional<Tensor> constant_bias(const graph::Model& model, const graph::GraphIndex& index,
                                    const onnx::NodeProto& node, const Columns& columns) {
  if (node.input_size() <= LayerSolution::kBiasInput || node.input(LayerSolution::kBiasInput).empty()) return Tensor();
  const onnx::TensorProto* initializer = index.initializer(node.input(LayerSolution::kBiasInput));
  if (initializer == nullptr) return std::nullopt;
  Tensor bias = model.tensor(*initializer);
  const bool fits = bias.type() == DataType::kFloat32 && bias.size() == columns.groups() * columns.outputs();
  return fits ? std::optional(std::move(bias)) : std::nullopt;
}

}  // namespace

std::unique_ptr<LayerSolver> LayerSolver::of(const graph::Model& model, const graph::GraphIndex& index,
                                             const onnx::NodeProto& node, const plan::LayerPlan& layer,
                                             std::optional<float> input_scale, const LayerRowLimits& row_limits) {
  const onnx::TensorProto& initializer = *index.initializer(layer.weight->initializer);
  const Tensor weight = model.tensor(initializer);
  auto columns = layer.weight->input == 1 ? Columns::of(node, weight.shape()) : std::nullopt;
  if (!columns || columns->columns() > kMostColumns || columns->columns() == 0) return nullptr;
  const std::optional<Tensor> bias = constant_bias(model, index, node, *columns);
  if (!bias) return nullptr;
  auto solver = std::unique_ptr<LayerSolver>(new LayerSolver);
  solver->node_ = node.name();
  solver->limits_ = row_limits;
  solver->columns_ = columns;
  solver->weight_ = weight;
  solver->params_ = layer.weight->params;
  solver->bias_ = *bias;
  if (layer.bias_input && input_scale) solver->bias_scale_ = *input_scale;
  const quant::IntegerLimits limits = weight_limits(weight, solver->params_);
  solver->qmin_ = static_cast<double>(limits.qmin);
  solver->qmax_ = static_cast<double>(limits.qmax);
  for (auto& fold : solver->sums_) {
    fold.assign(static_cast<size_t>(columns->groups()), Sums(columns->columns(), columns->outputs()));
  }
  return solver;
}

LayerRows LayerSolver::read(int64_t sample, int64_t samples, const Tensor& x, const Tensor& y) const {
  const Columns& columns = *columns_;
  const int64_t wanted = std::max(limits_.least, limits_.per_column * columns.columns()) / samples + 1;
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

Grid LayerSolver::grid_of_scale(size_t scale) const {
  return {.scale = static_cast<double>(params_.scales[scale]),
          .zero_point = static_cast<double>(params_.zero_points[scale]),
          .qmin = qmin_,
          .qmax = qmax_};
}

GridRow LayerSolver::grid(int64_t group, int64_t output) const {
  if (params_.block == 0) {
    return GridRow(grid_of_scale(static_cast<size_t>(params_.axis ? group * columns_->outputs() + output : 0)));
  }
  const quant::ElementGroups blocks(weight_.shape(), params_.grouping());
  std::vector<Grid> grids;
  for (int64_t column = 0; column < columns_->columns(); ++column) {
    grids.push_back(grid_of_scale(blocks.group_of(columns_->weight_index(group, output, column))));
  }
  return GridRow(std::move(grids));
}

namespace {

/// Within another such loop it runs on one thread.
template <class Body>
void for_each_piece(int64_t count, Body body) {
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

std::vector<double> weights_of(const std::vector<double>& integers, const GridRow& grid) {
  std::vector<double> weights;
  for (size_t i = 0; i < integers.size(); ++i) weights.push_back(grid.at(i).weight(integers[i]));
  return weights;
}

}  // namespace

Moments LayerSolver::moments_without(size_t fold, int64_t group) const {
  Sums all(columns_->columns(), columns_->outputs());
  for (size_t other = 0; other < kFolds; ++other) {
    if (other != fold) all.add(sums_[other][static_cast<size_t>(group)]);
  }
  return Moments(all, bias());
}

size_t LayerSolver::judging_folds() const {
  const double rows = sums_[0].front().rows;
  return rows >= kJudgingRowsPerColumn * static_cast<double>(columns_->columns()) ? 1 : kFolds;
}

double LayerSolver::held_error(double ridge) const {
  const std::vector<int64_t> judged = spread_indices(columns_->outputs(), kMostJudged);
  const auto groups = static_cast<size_t>(columns_->groups());
  std::vector<double> errors(judging_folds() * groups);
  const auto judge_group = [&](size_t at) {
    const size_t fold = at / groups;
    const auto group = static_cast<int64_t>(at % groups);
    const Moments other(sums_[fold][static_cast<size_t>(group)], bias());
    const RoundingProblem problem(moments_without(fold, group), group_weights(group), ridge);
    std::vector<double> found(judged.size());
    for_each_piece(static_cast<int64_t>(judged.size()), [&](int64_t i) {
      const int64_t output = judged[static_cast<size_t>(i)];
      const GridRow numbers = grid(group, output);
      found[static_cast<size_t>(i)] =
          output_error(other, output, weights_of(problem.nearest_plane(output, numbers), numbers));
    });
    for (const double error : found) errors[at] += error;
  };
  // One group has threads for its outputs, many share the threads.
  if (groups == 1) {
    for (size_t at = 0; at < errors.size(); ++at) judge_group(at);
  } else {
    for_each_piece(static_cast<int64_t>(errors.size()), [&](int64_t at) { judge_group(static_cast<size_t>(at)); });
  }
  double total = 0;
  for (const double error : errors) total += error;
  return total;
}

double LayerSolver::judged_energy() const {
  double total = 0;
  for (size_t fold = 0; fold < judging_folds(); ++fold) {
    for (const Sums& sums : sums_[fold]) {
      const Moments moments(sums, bias());
      for (const int64_t output : spread_indices(columns_->outputs(), kMostJudged)) {
        total += moments.variance_y[static_cast<size_t>(output)];
      }
    }
  }
  return total;
}

LayerSolver::Ridge LayerSolver::choose_ridge(double start) const {
  // The error on samples left out falls and rises again: downhill from where the layer before ended.
  auto at = static_cast<size_t>(std::lower_bound(kRidges.begin(), kRidges.end() - 1, start) - kRidges.begin());
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

LayerSolver::Errors LayerSolver::solve_group(int64_t group, double ridge, LayerSolution& solution) const {
  const Moments moments = moments_without(kFolds, group);
  const Matrix weights = group_weights(group);
  const RoundingProblem problem(moments, weights, ridge);
  const auto chosen = solution.weight.mutable_data<float>();
  const auto biases = solution.bias.defined() ? solution.bias.mutable_data<float>() : std::span<float>();
  std::vector<Errors> found(static_cast<size_t>(columns_->outputs()));
  for_each_piece(columns_->outputs(), [&](int64_t output) {
    const GridRow numbers = grid(group, output);
    const auto real = weights.row(output);
    std::vector<double> nearest;
    for (size_t i = 0; i < real.size(); ++i) nearest.push_back(numbers.at(i).nearest(real[i]));
    RoundingProblem::Start start(problem, output, numbers, std::move(nearest));
    RoundingProblem::Start plane(problem, output, numbers, problem.nearest_plane(output, numbers));
    const double nearest_error = start.error(moments.variance_y[static_cast<size_t>(output)]);
    RoundingProblem::Start& better = start.cost() < plane.cost() ? start : plane;
    better.descend();
    const std::vector<double> rounded = weights_of(better.integers(), numbers);
    for (int64_t column = 0; column < columns_->columns(); ++column) {
      chosen[columns_->weight_index(group, output, column)] = static_cast<float>(rounded[static_cast<size_t>(column)]);
    }
    const auto channel = static_cast<size_t>(group * columns_->outputs() + output);
    const auto at = static_cast<size_t>(output);
    if (!biases.empty()) {
      // mean_y holds the float bias already.
      const double wanted = moments.mean_y[at] - dot(rounded, moments.mean_x);
      const bool fits = !bias_scale_ || std::abs(wanted) < kLargestBias * numbers.at(0).scale * *bias_scale_;
      if (fits) biases[channel] = static_cast<float>(wanted);
    }
    found[at] = {nearest_error, better.error(moments.variance_y[at]), moments.variance_y[at]};
  });
  Errors errors{};
  for (const Errors& values : found) {
    for (size_t i = 0; i < values.size(); ++i) errors[i] += values[i];
  }
  return errors;
}

LayerSolution LayerSolver::solve(const Pull& pull) const {
  LayerSolution solution{.weight = weight_, .params = params_, .bias = bias_, .outcome = {.node = node_}};
  // Made writable before threads write to them.
  solution.weight.mutable_bytes();
  if (solution.bias.defined()) solution.bias.mutable_bytes();
  const auto [ridge, held] = pull.search ? choose_ridge(pull.ridge) : Ridge{.ridge = pull.ridge, .held_error = 0};
  std::vector<Errors> found(static_cast<size_t>(columns_->groups()));
  const auto solve_one = [&, ridge = ridge](int64_t group) {
    found[static_cast<size_t>(group)] = solve_group(group, ridge, solution);
  };
  if (columns_->groups() == 1) {
    solve_one(0);
  } else {
    for_each_piece(columns_->groups(), solve_one);
  }
  Errors errors{};
  for (const Errors& values : found) {
    for (size_t i = 0; i < values.size(); ++i) errors[i] += values[i];
  }
  const double energy = errors[2] > 0 ? errors[2] : 1;
  solution.outcome.nearest_error = errors[0] / energy;
  solution.outcome.recovered_error = errors[1] / energy;
  const double judged = pull.search ? judged_energy() : 0;
  solution.outcome.held_error = judged > 0 ? held / judged : 0;
  solution.outcome.ridge = ridge;
  return solution;
}

}  // namespace narrow::recover
