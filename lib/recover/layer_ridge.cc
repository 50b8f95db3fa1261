// LayerSolver's choice of the pull towards the float weights, by the error on samples left out.
#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "lib/base/spread.h"
#include "lib/recover/layer_solver.h"
#include "lib/recover/layer_tiles.h"

namespace narrow::recover {
namespace {

constexpr std::array kRidges{1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0};
constexpr double kJudgingRowsPerColumn = 5;
constexpr int64_t kMostJudged = 48;  // outputs of a group that choose the ridge

}  // namespace

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

}  // namespace narrow::recover
