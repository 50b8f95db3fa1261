#include "lib/recover/layer_solver.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/spread.h"
#include "lib/quant/element_groups.h"
#include "lib/recover/row_products.h"
#include "lib/recover/vector_math.h"
#include "lib/recover/weight_scheme.h"

namespace narrow::recover {
namespace {

constexpr int64_t kMostColumns = 2400;  // 46 MB of moments each
constexpr std::array kRidges{1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0};
constexpr double kJudgingRowsPerColumn = 5;
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

std::vector<std::vector<double>> weights_of(const std::vector<std::vector<double>>& integers,
                                            std::span<const GridRow> grids) {
  std::vector<std::vector<double>> weights;
  for (size_t t = 0; t < integers.size(); ++t) weights.push_back(weights_of(integers[t], grids[t]));
  return weights;
}

int64_t tiles_of(size_t outputs) {
  return static_cast<int64_t>((outputs + kTile - 1) / kTile);
}

/// Outputs that are solved together.
std::span<const int64_t> tile_of(std::span<const int64_t> outputs, int64_t tile) {
  const auto rest = outputs.subspan(static_cast<size_t>(tile) * kTile);
  return rest.first(std::min(rest.size(), kTile));
}

}  // namespace

Moments LayerSolver::moments_without(size_t fold, int64_t group) const {
  const size_t first = fold == 0 ? 1 : 0;
  Sums all = sums_[first][static_cast<size_t>(group)];
  for (size_t other = first + 1; other < kFolds; ++other) {
    if (other != fold) all.add(sums_[other][static_cast<size_t>(group)]);
  }
  return Moments(std::move(all), bias());
}

size_t LayerSolver::judging_folds() const {
  const double rows = sums_[0].front().rows;
  return rows >= kJudgingRowsPerColumn * static_cast<double>(columns_->columns()) ? 1 : kFolds;
}

std::vector<LayerSolver::Fold> LayerSolver::folds() const {
  const auto groups = static_cast<size_t>(columns_->groups());
  std::vector<std::optional<Fold>> made(judging_folds() * groups);
  for_each_piece(static_cast<int64_t>(made.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    const auto group = static_cast<int64_t>(at % groups);
    made[at].emplace(Fold{.group = group,
                          .fit = moments_without(at / groups, group),
                          .held = Moments(sums_[at / groups][at % groups], bias()),
                          .weights = group_weights(group)});
  });
  std::vector<Fold> result;
  for (std::optional<Fold>& fold : made) result.push_back(std::move(*fold));
  return result;
}

double LayerSolver::held_error(const Fold& fold, double ridge) const {
  const std::vector<int64_t> judged = spread_indices(columns_->outputs(), kMostJudged);
  const RoundingProblem problem(fold.fit, fold.weights, ridge);
  std::vector<double> found(judged.size());
  for_each_piece(tiles_of(judged.size()), [&](int64_t tile) {
    const std::span<const int64_t> outputs = tile_of(judged, tile);
    const std::vector<GridRow> numbers = grids(fold.group, outputs);
    const auto wrong = output_errors(fold.held, outputs, weights_of(problem.nearest_planes(outputs, numbers), numbers));
    std::copy(wrong.begin(), wrong.end(), found.begin() + tile * static_cast<int64_t>(kTile));
  });
  return std::accumulate(found.begin(), found.end(), 0.0);
}

std::vector<double> LayerSolver::held_errors(const std::vector<Fold>& folds, const std::vector<double>& ridges) const {
  std::vector<double> found(folds.size() * ridges.size());
  // Several have a thread each, one alone has threads for its parts.
  for_each_piece(static_cast<int64_t>(found.size()), [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    found[at] = held_error(folds[at % folds.size()], ridges[at / folds.size()]);
  });
  std::vector<double> errors;
  for (size_t i = 0; i < ridges.size(); ++i) {
    const auto own = std::span(found).subspan(i * folds.size(), folds.size());
    errors.push_back(std::accumulate(own.begin(), own.end(), 0.0));
  }
  return errors;
}

double LayerSolver::judged_energy(const std::vector<Fold>& folds) const {
  double total = 0;
  for (const Fold& fold : folds) {
    for (const int64_t output : spread_indices(columns_->outputs(), kMostJudged)) {
      total += fold.held.variance_y[static_cast<size_t>(output)];
    }
  }
  return total;
}

LayerSolver::Ridge LayerSolver::choose_ridge(double start) const {
  // The error on samples left out falls and rises again: downhill from where the layer before ended.
  auto at = static_cast<size_t>(std::lower_bound(kRidges.begin(), kRidges.end() - 1, start) - kRidges.begin());
  const std::vector<Fold> judging = folds();
  std::array<std::optional<double>, kRidges.size()> errors;
  const auto judge = [&](std::initializer_list<size_t> wanted) {
    std::vector<size_t> missing;
    std::vector<double> ridges;
    for (const size_t i : wanted) {
      if (i >= kRidges.size() || errors[i]) continue;
      missing.push_back(i);
      ridges.push_back(kRidges[i]);
    }
    const std::vector<double> found = held_errors(judging, ridges);
    for (size_t i = 0; i < found.size(); ++i) errors[missing[i]] = found[i];
  };
  for (;;) {
    judge({at, at + 1});
    if (at + 1 < kRidges.size() && *errors[at + 1] < *errors[at]) {
      ++at;
      continue;
    }
    if (at > 0) judge({at - 1});
    if (at > 0 && *errors[at - 1] < *errors[at]) {
      --at;
      continue;
    }
    const double energy = judged_energy(judging);
    return {kRidges[at], energy > 0 ? *errors[at] / energy : 0};
  }
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
  Errors errors{};
  for (size_t t = 0; t < outputs.size(); ++t) {
    const double variance = at.moments.variance_y[static_cast<size_t>(outputs[t])];
    errors[0] += starts[t].error(variance);
    RoundingProblem::Start& better = starts[t].cost() < planes[t].cost() ? starts[t] : planes[t];
    better.descend();
    errors[1] += better.error(variance);
    errors[2] += variance;
    write(at, outputs[t], numbers[t], better.integers(), solution);
  }
  return errors;
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
