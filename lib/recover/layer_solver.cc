#include "lib/recover/layer_solver.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/base/error.h"
#include "lib/quant/element_groups.h"
#include "lib/recover/layer_tiles.h"
#include "lib/recover/row_products.h"
#include "lib/recover/vector_math.h"
#include "lib/recover/weight_scheme.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostColumns = 2400;                         // 46 MB of moments each
constexpr int kFewBits = 4;                                    // scales of more are good as they are
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
  solver->learns_steps_ = quant::row(solver->params_.type).bits <= kFewBits && solver->params_.scales.size() > 1;
  return solver;
}

int64_t LayerSolver::positions_wanted(int64_t samples) const {
  return std::max(limits_.least, limits_.per_column * columns_->columns()) / samples + 1;
}

int64_t LayerSolver::output_elements(int64_t samples) const {
  return positions_wanted(samples) * columns_->groups() * columns_->outputs();
}

int64_t LayerSolver::input_elements(int64_t samples) const {
  return positions_wanted(samples) * columns_->groups() * columns_->columns();
}

std::vector<int64_t> LayerSolver::positions(int64_t sample, int64_t samples, const Shape& output) const {
  return spread_positions(columns_->positions(output), positions_wanted(samples), sample);
}

Rows LayerSolver::read_outputs(int64_t sample, int64_t samples, const Tensor& y) const {
  const std::vector<int64_t> taken = positions(sample, samples, y.shape());
  const auto width = static_cast<size_t>(columns_->groups() * columns_->outputs());
  Rows rows{
      .x = {}, .y = std::vector<float>(taken.size() * width + kRowPadding), .count = taken.size(), .made = y.shape()};
  columns_->read_outputs(y, taken, rows.y);
  return rows;
}

void LayerSolver::read_inputs(int64_t sample, int64_t samples, const Tensor& x, Rows& rows) const {
  rows.x.resize(rows.count * static_cast<size_t>(columns_->groups() * columns_->columns()) + kRowPadding);
  columns_->read_inputs(x, rows.made, positions(sample, samples, rows.made), rows.x);
}

void LayerSolver::add(int64_t first, std::span<const Rows> rows) {
  for (auto& fold : sums_) {
    if (fold.empty()) {
      fold.assign(static_cast<size_t>(columns_->groups()), Sums(columns_->columns(), columns_->outputs()));
    }
  }
  for (size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<const Rows*> own;
    for (size_t i = 0; i < rows.size(); ++i) {
      if ((static_cast<size_t>(first) + i) % kFolds == fold) own.push_back(&rows[i]);
    }
    if (!own.empty()) add_rows(sums_[fold], static_cast<size_t>(columns_->taps()), own);
  }
}

bool LayerSolver::has_moments() const {
  const auto are_finite = [](const Sums& sums) {
    double total = 0;  // the products of two columns are no larger than their squares
    for (int64_t i = 0; i < sums.inner.rows; ++i) total += sums.inner.at(i, i);
    return std::isfinite(std::accumulate(sums.yy.begin(), sums.yy.end(), total));
  };
  return std::all_of(sums_.begin(), sums_.end(), [&](const std::vector<Sums>& groups) {
    return std::all_of(groups.begin(), groups.end(), are_finite);
  });
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
  if (params_.type == quant::QuantType::kBinary) {
    return {.scale = 2 * static_cast<double>(params_.scales[scale]), .zero_point = 0.5, .qmin = 0, .qmax = 1};
  }
  return {.scale = static_cast<double>(params_.scales[scale]),
          .zero_point = static_cast<double>(params_.zero_points[scale]),
          .qmin = qmin_,
          .qmax = qmax_};
}

GridRow LayerSolver::grid(int64_t group, int64_t output) const {
  const auto columns = columns_by_scale(group, output);
  if (columns.size() == 1 && params_.block == 0) return GridRow(grid_of_scale(columns.begin()->first));
  std::vector<Grid> grids(static_cast<size_t>(columns_->columns()));
  for (const auto& [scale, own] : columns) {
    for (const size_t column : own) grids[column] = grid_of_scale(scale);
  }
  return GridRow(std::move(grids));
}

std::map<size_t, std::vector<size_t>> LayerSolver::columns_by_scale(int64_t group, int64_t output) const {
  std::map<size_t, std::vector<size_t>> columns;
  if (params_.block == 0) {
    auto& all = columns[static_cast<size_t>(params_.axis ? group * columns_->outputs() + output : 0)];
    all.resize(static_cast<size_t>(columns_->columns()));
    std::iota(all.begin(), all.end(), 0);
    return columns;
  }
  const quant::ElementGroups blocks(weight_.shape(), params_.grouping());
  for (int64_t column = 0; column < columns_->columns(); ++column) {
    columns[blocks.group_of(columns_->weight_index(group, output, column))].push_back(static_cast<size_t>(column));
  }
  return columns;
}

std::vector<GridRow> LayerSolver::grids(int64_t group, std::span<const int64_t> outputs) const {
  std::vector<GridRow> rows;
  for (const int64_t output : outputs) rows.push_back(grid(group, output));
  return rows;
}

LayerSolver::Errors LayerSolver::sum_of(const std::vector<Errors>& parts) {
  Errors sum{};
  for (const Errors& part : parts) {
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  return sum;
}

Moments LayerSolver::moments_without(size_t fold, int64_t group) const {
  const size_t first = fold == 0 ? 1 : 0;
  Sums all = sums_[first][static_cast<size_t>(group)];
  for (size_t other = first + 1; other < kFolds; ++other) {
    if (other != fold) all.add(sums_[other][static_cast<size_t>(group)]);
  }
  return Moments(std::move(all), bias());
}

LayerSolver::Errors LayerSolver::solve_group(int64_t group, double ridge, LayerSolution& solution) const {
  const Moments moments = moments_without(kFolds, group);
  const Matrix weights = group_weights(group);
  const RoundingProblem problem(moments, weights, ridge);
  std::vector<int64_t> all(static_cast<size_t>(columns_->outputs()));
  std::iota(all.begin(), all.end(), 0);
  std::vector<Errors> found(static_cast<size_t>(tiles_of(all.size())));
  for_each_piece(tiles_of(all.size()), [&](int64_t tile) {
    found[static_cast<size_t>(tile)] = solve_outputs({group, moments, weights, problem}, tile_of(all, tile), solution);
  });
  return sum_of(found);
}

LayerSolver::Errors LayerSolver::solve_outputs(const GroupProblem& at, std::span<const int64_t> outputs,
                                               LayerSolution& solution) const {
  const std::vector<GridRow> numbers = grids(at.group, outputs);
  std::vector<std::vector<double>> nearest(outputs.size());
  for (size_t t = 0; t < outputs.size(); ++t) {
    const auto row = at.weights.row(outputs[t]);
    for (size_t i = 0; i < row.size(); ++i) nearest[t].push_back(numbers[t].at(i).nearest(row[i]));
  }
  std::vector<RoundingProblem::Start> starts = at.problem.starts(outputs, numbers, std::move(nearest));
  std::vector<RoundingProblem::Start> planes =
      at.problem.starts(outputs, numbers, at.problem.nearest_planes(outputs, numbers));
  std::vector<RoundingProblem::Start*> better;
  for (size_t t = 0; t < outputs.size(); ++t) {
    better.push_back(starts[t].cost() < planes[t].cost() ? &starts[t] : &planes[t]);
  }
  Errors errors{};
  for (size_t t = 0; t < outputs.size(); ++t) {
    errors[0] += starts[t].error(at.moments.variance_y[static_cast<size_t>(outputs[t])]);
    better[t]->descend();
  }
  if (learns_steps_) learn_steps(at, outputs, better);
  for (size_t t = 0; t < outputs.size(); ++t) {
    const double variance = at.moments.variance_y[static_cast<size_t>(outputs[t])];
    errors[1] += better[t]->error(variance);
    errors[2] += variance;
    write(at, outputs[t], better[t]->grid(), better[t]->integers(), solution);
    if (learns_steps_) write_scales(at.group, outputs[t], better[t]->grid(), solution);
  }
  return errors;
}

/// Planes of all outputs at once cost little more than those of one.
void LayerSolver::learn_steps(const GroupProblem& at, std::span<const int64_t> outputs,
                              std::span<RoundingProblem::Start* const> starts) const {
  constexpr int kMostRounds = 4;
  constexpr double kLeastGain = 1e-3;  // of what is left of the error
  struct Learner {
    int64_t output;
    RoundingProblem::Start* start;
    std::map<size_t, std::vector<size_t>> columns;  // by scale
    double before;                                  // error

    void settle(RoundingProblem::Start& one) const {
      for (const auto& [scale, own] : columns) one.refit(own);
      one.descend();
    }
  };
  const auto variance = [&](const Learner& one) { return at.moments.variance_y[static_cast<size_t>(one.output)]; };
  std::vector<Learner> learners;
  for (size_t t = 0; t < outputs.size(); ++t) {
    learners.push_back({outputs[t], starts[t], columns_by_scale(at.group, outputs[t]), 0});
    learners.back().before = starts[t]->error(variance(learners.back()));
    learners.back().settle(*starts[t]);
  }
  for (int round = 0; round < kMostRounds && !learners.empty(); ++round) {
    // Other scales have another nearest plane.
    std::vector<int64_t> learning;
    std::vector<GridRow> numbers;
    for (const Learner& one : learners) {
      learning.push_back(one.output);
      numbers.push_back(one.start->grid());
    }
    std::vector<RoundingProblem::Start> again =
        at.problem.starts(learning, numbers, at.problem.nearest_planes(learning, numbers));
    for (size_t i = 0; i < learners.size(); ++i) {
      const Learner& one = learners[i];
      again[i].descend();
      one.settle(again[i]);
      if (again[i].cost() < one.start->cost()) {
        one.start->take(std::move(again[i]));
      } else {
        one.settle(*one.start);
      }
    }
    std::erase_if(learners, [&](Learner& one) {
      const double after = one.start->error(variance(one));
      const bool done = !(after < one.before * (1 - kLeastGain));
      one.before = after;
      return done;
    });
  }
}

void LayerSolver::write_scales(int64_t group, int64_t output, const GridRow& grid, LayerSolution& solution) const {
  for (const auto& [scale, own] : columns_by_scale(group, output)) {
    const bool binary = params_.type == quant::QuantType::kBinary;
    solution.params.scales[scale] = static_cast<float>(grid.at(own.front()).scale) / (binary ? 2 : 1);
  }
}

void LayerSolver::write(const GroupProblem& at, int64_t output, const GridRow& grid,
                        const std::vector<double>& integers, LayerSolution& solution) const {
  const std::vector<double> weights = weights_of(integers, grid);
  const auto chosen = solution.weight.mutable_data<float>();
  for (int64_t column = 0; column < columns_->columns(); ++column) {
    chosen[columns_->weight_index(at.group, output, column)] = static_cast<float>(weights[static_cast<size_t>(column)]);
  }
  if (!solution.bias.defined()) return;
  // mean_y holds the float bias already.
  const double wanted = at.moments.mean_y[static_cast<size_t>(output)] - dot(weights, at.moments.mean_x);
  const bool fits = !bias_scale_ || std::abs(wanted) < kLargestBias * grid.at(0).scale * *bias_scale_;
  if (!fits) return;
  const auto channel = static_cast<size_t>(at.group * columns_->outputs() + output);
  solution.bias.mutable_data<float>()[channel] = static_cast<float>(wanted);
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
  const Errors errors = sum_of(found);
  const double energy = errors[2] > 0 ? errors[2] : 1;
  solution.outcome.nearest_error = errors[0] / energy;
  solution.outcome.recovered_error = errors[1] / energy;
  solution.outcome.held_error = held;
  solution.outcome.ridge = ridge;
  return solution;
}

}  // namespace narrow::recover
