#include "lib/plan/weights.h"

#include <cmath>

namespace narrow::plan {
namespace {

// Room below 2^31 for the sum that the bias is added to: K products of 255 * 127 stay below 2^30 up to K = 33,000.
constexpr double kLargestBias = static_cast<double>(1 << 30);

void enlarge_for_bias(const Tensor& bias, float input_scale, WeightPlan& plan) {
  const auto values = bias.data<float>();
  auto& scales = plan.params.scales;
  for (size_t i = 0; i < values.size(); ++i) {
    float& scale = scales[scales.size() == 1 ? 0 : i];
    const double needed = std::abs(static_cast<double>(values[i])) / kLargestBias / input_scale;
    if (needed <= scale) continue;
    scale = static_cast<float>(needed * (1 + 1e-6));  // rounding to float32 must not undo it
    ++plan.enlarged_channels;
  }
}

}  // namespace

WeightPlan plan_weight(const analyze::ConstantSlot& slot, const Tensor& weight, const Tensor& bias, float input_scale,
                       const LayerScheme& scheme) {
  const auto axis = scheme.granularity == Granularity::kPerChannel ? slot.channel_axis : std::nullopt;
  const quant::Scheme numbers{
      .type = scheme.weights, .symmetric = scheme.weights_symmetric, .reduce_range = scheme.reduce_range};
  WeightPlan plan{.input = slot.input,
                  .initializer = slot.initializer,
                  .params = quant::choose_weight_params(weight, numbers, axis)};
  if (bias.defined()) enlarge_for_bias(bias, input_scale, plan);
  return plan;
}

}  // namespace narrow::plan
