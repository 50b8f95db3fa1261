// One layer: its moments gathered over samples, its integers and bias chosen from them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/columns.h"
#include "lib/recover/layerwise.h"
#include "lib/recover/moments.h"
#include "lib/recover/rounding.h"

namespace narrow::recover {

struct LayerSolution {
  static constexpr int kBiasInput = 2;  // of Conv and Gemm

  Tensor weight;              // scale * (q - zero_point), in the weight's own layout
  quant::QuantParams params;  // of the weight
  Tensor bias;                // undefined where the layer has none
  LayerOutcome outcome;
};

/// How strongly the integers are drawn towards the float weights (see RoundingProblem).
struct Pull {
  double ridge = 1;
  bool search = true;  // from `ridge` on, by the error on samples left out
};

class LayerSolver {
 public:
  /// nullptr where the layer is no product that Columns knows, its sums are too long for a matrix of moments, or its
  /// bias is no constant. `input_scale`: of activations that are rounded.
  static std::unique_ptr<LayerSolver> of(const graph::Model& model, const graph::GraphIndex& index,
                                         const onnx::NodeProto& node, const plan::LayerPlan& layer,
                                         std::optional<float> input_scale, const LayerRowLimits& limits);

  /// Some of the sample's positions, spread over all of them: `y` as the float layer makes it, and later `x` as the
  /// quantized layer reads it. Thread-safe.
  Rows read_outputs(int64_t sample, int64_t samples, const Tensor& y) const;
  void read_inputs(int64_t sample, int64_t samples, const Tensor& x, Rows& rows) const;
  /// Samples from `first` on.
  void add(int64_t first, std::span<const Rows> rows);
  /// Elements that these take of one of `samples` at most.
  int64_t output_elements(int64_t samples) const;
  int64_t input_elements(int64_t samples) const;

  /// Whether the products of the rows are numbers: those of values beyond 1e19 overflow float32, and tell nothing.
  bool has_moments() const;
  LayerSolution solve(const Pull& pull) const;

 private:
  /// Samples in turn: what is chosen on the others is judged on one.
  static constexpr size_t kFolds = 3;

  LayerSolver() = default;
  int64_t positions_wanted(int64_t samples) const;
  std::vector<int64_t> positions(int64_t sample, int64_t samples, const Shape& output) const;
  struct Ridge {
    double ridge = 0;
    double held_error = 0;  // a share of the energy
  };
  Ridge choose_ridge(double start) const;
  /// Folds that judge: one where it alone tells enough, else each in turn.
  size_t judging_folds() const;
  /// Samples that judge and the others, which fit, of one group.
  struct Fold {
    int64_t group = 0;
    Moments fit;
    Moments held;
    Matrix weights;
  };
  std::vector<Fold> folds() const;
  double judged_energy(const std::vector<Fold>& folds) const;
  double held_error(const Fold& fold, double ridge) const;
  /// Of each ridge, on all folds.
  std::vector<double> held_errors(const std::vector<Fold>& folds, const std::vector<double>& ridges) const;
  /// kFolds: without none.
  Moments moments_without(size_t fold, int64_t group) const;
  Matrix group_weights(int64_t group) const;
  GridRow grid(int64_t group, int64_t output) const;
  std::vector<GridRow> grids(int64_t group, std::span<const int64_t> outputs) const;
  Grid grid_of_scale(size_t scale) const;
  Bias bias() const { return bias_.defined() ? Bias::kFree : Bias::kFixed; }
  /// Errors of nearest rounding and of the result, and the energy.
  using Errors = std::array<double, 3>;
  static Errors sum_of(const std::vector<Errors>& parts);
  Errors solve_group(int64_t group, double ridge, LayerSolution& solution) const;
  struct GroupProblem {
    int64_t group = 0;
    const Moments& moments;
    const Matrix& weights;
    const RoundingProblem& problem;
  };
  /// Into the solution's parameters, from the grids of one output.
  void write_scales(int64_t group, int64_t output, const GridRow& grid, LayerSolution& solution) const;
  /// Columns of each scale of one output.
  std::map<size_t, std::vector<size_t>> columns_by_scale(int64_t group, int64_t output) const;
  /// Steps of integers and of their scales in turn, where few bits leave much to win.
  void learn_steps(const GroupProblem& at, std::span<const int64_t> outputs,
                   std::span<RoundingProblem::Start* const> starts) const;
  Errors solve_outputs(const GroupProblem& at, std::span<const int64_t> outputs, LayerSolution& solution) const;
  void write(const GroupProblem& at, int64_t output, const GridRow& grid, const std::vector<double>& integers,
             LayerSolution& solution) const;

  std::string node_;
  LayerRowLimits limits_;
  std::optional<Columns> columns_;
  Tensor weight_;
  Tensor bias_;
  bool learns_steps_ = false;         // scales are chosen with the integers
  std::optional<double> bias_scale_;  // of an integer bias, over the weight's: the activation's
  quant::QuantParams params_;
  double qmin_ = 0;
  double qmax_ = 0;
  std::array<std::vector<Sums>, kFolds> sums_;  // by group
};

}  // namespace narrow::recover
