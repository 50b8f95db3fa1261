// Layer after layer: weights rounded, and biases corrected, so that each layer makes the float model's outputs from
// what the quantized layers before it really hand over.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

/// How many rows of a layer's inputs its moments are gathered from, over all samples.
struct LayerRowLimits {
  int64_t least = 6000;
  int64_t per_column = 16;
};

struct LayerwiseOptions {
  int workers = 1;                            // the result does not depend on it
  int64_t memory_bytes = int64_t{512} << 20;  // of kept activations; fewer samples are used where all do not fit
  /// How strongly each layer's weights are drawn towards the float ones is searched on samples left out; else it is the
  /// usual strength: for trials.
  bool search_pull = true;
  LayerRowLimits rows = {};
  Progress progress;
};

/// What it did to one layer. Errors are shares of the output's energy, of sums over positions and samples.
struct LayerOutcome {
  std::string node;
  double nearest_error = 0;    // with nearest rounding and the best bias
  double recovered_error = 0;  // on the samples that chose the integers
  double held_error = 0;       // on samples left out of the choice: far above recovered_error is overfitting
  double ridge = 0;            // the pull towards the float weights that did best on samples left out
};

struct LayerwiseResult {
  graph::Model model;        // float; its constants are the chosen integers times their scales
  plan::PrecisionPlan plan;  // nearest rounding by it gives those integers back
  std::vector<LayerOutcome> layers;
  std::vector<std::string> overflowed;  // nodes that keep nearest rounding: products of their values overflow float32
  int64_t samples = 0;                  // used
};

/// Of each layer with a quantized weight: Conv, Gemm, MatMul; others keep nearest rounding.
LayerwiseResult recover_layerwise(const graph::Model& model, const plan::PrecisionPlan& plan, const Samples& samples,
                                  const LayerwiseOptions& options);

}  // namespace narrow::recover
