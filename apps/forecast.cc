#include "apps/forecast.h"

#include <algorithm>
#include <cmath>

#include "apps/pipeline.h"

namespace narrow::apps {
namespace {

/// From 0.03 (mobilenet) to 0.5 (resnet8): docs/recovery.md, weight-only models.
constexpr double kRoundingLeaves = 0.2;

double noise(double sqnr_db) {
  return std::pow(10.0, -sqnr_db / 10);
}

/// Activations as planned, weights and biases in float.
plan::PrecisionPlan with_float_weights(plan::PrecisionPlan plan) {
  for (plan::LayerPlan& layer : plan.layers) {
    layer.weight.reset();
    layer.more_weights.clear();
    layer.bias_input.reset();
    const bool activations = layer.decision == plan::Decision::kQuantize || layer.decision == plan::Decision::kFold;
    if (!activations && !plan::half_type(layer.decision)) layer.decision = plan::Decision::kFloat;
  }
  return plan;
}

}  // namespace

double expected_sqnr_db(const Judge& judge, const graph::Model& model, const plan::PrecisionPlan& plan) {
  const double all = noise(judge.sqnr_db(quantized_model(model, plan)));
  const double activations = noise(judge.sqnr_db(quantized_model(model, with_float_weights(plan))));
  return -10 * std::log10(activations + kRoundingLeaves * std::max(all - activations, 0.0));
}

}  // namespace narrow::apps
