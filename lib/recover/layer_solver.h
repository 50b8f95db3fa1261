// One layer: its moments gathered over samples, its integers and bias chosen from them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/columns.h"
#include "lib/recover/layerwise.h"
#include "lib/recover/moments.h"
#include "lib/recover/rounding.h"

namespace narrow::recover {

/// What one sample adds, a group of the layer each.
using LayerRows = std::vector<Sums>;

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

  /// Sums over some of the sample's positions, spread over all of them: `x` as the quantized layer reads it, `y` as the
  /// float layer makes it. Thread-safe.
  LayerRows read(int64_t sample, int64_t samples, const Tensor& x, const Tensor& y) const;
  void add(int64_t sample, const LayerRows& rows);

  LayerSolution solve(const Pull& pull) const;

 private:
  /// Samples in turn: what is chosen on the others is judged on one.
  static constexpr size_t kFolds = 3;

  LayerSolver() = default;
  struct Ridge {
    double ridge = 0;
    double held_error = 0;
  };
  Ridge choose_ridge(double start) const;
  /// Folds that judge: one where it alone tells enough, else each in turn.
  size_t judging_folds() const;
  double judged_energy() const;
  /// kFolds: without none.
  Moments moments_without(size_t fold, int64_t group) const;
  double held_error(double ridge) const;
  Matrix group_weights(int64_t group) const;
  GridRow grid(int64_t group, int64_t output) const;
  Grid grid_of_scale(size_t scale) const;
  Bias bias() const { return bias_.defined() ? Bias::kFree : Bias::kFixed; }
  /// Errors of nearest rounding and of the result, and the energy.
  using Errors = std::array<double, 3>;
  Errors solve_group(int64_t group, double ridge, LayerSolution& solution) const;

  std::string node_;
  LayerRowLimits limits_;
  std::optional<Columns> columns_;
  Tensor weight_;
  Tensor bias_;
  std::optional<double> bias_scale_;  // of an integer bias, over the weight's: the activation's
  quant::QuantParams params_;
  double qmin_ = 0;
  double qmax_ = 0;
  std::array<std::vector<Sums>, kFolds> sums_;  // by group
};

}  // namespace narrow::recover
