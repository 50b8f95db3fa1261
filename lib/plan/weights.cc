#include "lib/plan/weights.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lib/quant/codebook.h"

namespace narrow::plan {
namespace {

// Room below 2^31 for the sum that the bias is added to: K products of 255 * 127 stay below 2^30 up to K = 33,000.
constexpr double kLargestBias = static_cast<double>(1 << 30);

std::vector<float> channel_magnitudes(const Tensor& weight, int64_t axis) {
  const auto at = static_cast<size_t>(axis);
  size_t inner = 1;
  for (size_t i = at + 1; i < weight.rank(); ++i) inner *= static_cast<size_t>(weight.shape()[i]);
  std::vector<float> magnitudes(static_cast<size_t>(weight.shape()[at]), 0);
  const auto values = weight.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    float& magnitude = magnitudes[i / inner % magnitudes.size()];
    magnitude = std::max(magnitude, std::abs(values[i]));
  }
  return magnitudes;
}

/// A channel whose weights are all zero, or too small for a normal float32 scale, can have any scale: it takes the one
/// that keeps 24 bits of its bias.
void fit_dead_channels(const Tensor& weight, const Tensor& bias, float input_scale, WeightPlan& plan) {
  if (!plan.params.axis) return;
  const std::vector<float> magnitudes = channel_magnitudes(weight, *plan.params.axis);
  const float smallest = std::numeric_limits<float>::min();
  const auto limit = smallest * static_cast<float>(quant::row(plan.params.type).qmax);
  const auto values = bias.data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const double wanted = std::abs(static_cast<double>(values[i])) / 0x1p24 / input_scale;
    if (magnitudes[i] < limit && wanted >= smallest) plan.params.scales[i] = static_cast<float>(wanted);
  }
}

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

/// The groups that the scheme asks for, where the weight has them: an axis no longer than a block has none.
quant::Grouping grouping_of(const analyze::ConstantSlot& slot, const Shape& shape, const LayerScheme& scheme) {
  if (scheme.granularity == Granularity::kPerTensor) return {};
  if (scheme.granularity == Granularity::kPerBlock && slot.block_axis &&
      shape[static_cast<size_t>(*slot.block_axis)] > scheme.block) {
    return {.axis = slot.block_axis, .block = scheme.block};
  }
  return {.axis = slot.channel_axis};
}

quant::QuantParams weight_params(const analyze::ConstantSlot& slot, const Tensor& weight, const LayerScheme& scheme,
                                 const quant::Grouping& grouping) {
  if (scheme.weights == quant::QuantType::kCodebook) {
    return quant::choose_codebook_params(weight, {.entries = scheme.entries,
                                                  .axis = slot.channel_axis,
                                                  .channels = scheme.codebook_channels,
                                                  .scaled = grouping.axis.has_value()});
  }
  const bool few_levels = quant::row(scheme.weights).bits <= 4;
  const quant::WeightFit own = few_levels ? quant::WeightFit::kSquaredError : quant::WeightFit::kExtremes;
  const quant::Scheme numbers{.type = scheme.weights,
                              .symmetric = scheme.weights_symmetric,
                              .reduce_range = scheme.reduce_range,
                              .fit = scheme.weight_fit.value_or(own)};
  return quant::choose_weight_params(weight, numbers, grouping);
}

WeightPlan weight_plan(const analyze::ConstantSlot& slot, const Tensor& weight, const LayerScheme& scheme,
                       const quant::Grouping& grouping) {
  WeightPlan plan{.input = slot.input, .initializer = slot.initializer, .params = {}};
  plan.params = weight_params(slot, weight, scheme, grouping);
  if (scheme.rounding == Rounding::kStochastic) {
    plan.params.noise = quant::RoundingNoise(static_cast<uint64_t>(scheme.seed), slot.initializer);
  } else if (scheme.rounding == Rounding::kSquant && !quant::needs_decoder(scheme.weights)) {
    plan.params.sum_axes = slot.sum_axes;
  }
  return plan;
}

}  // namespace

bool has_integer_bias(const LayerScheme& scheme, quant::QuantType input) {
  const bool integers = !quant::row(scheme.weights).is_float && !quant::row(input).is_float;
  return integers && scheme.granularity != Granularity::kPerBlock;
}

WeightPlan plan_stored_weight(const analyze::Layer& layer, const analyze::ConstantSlot& slot, const Tensor& weight,
                              const LayerScheme& scheme, const TargetRow& target, bool integer_activations) {
  const quant::Grouping asked = grouping_of(slot, weight.shape(), scheme);
  return weight_plan(slot, weight, scheme, adapted(target, layer, weight.shape(), asked, scheme, integer_activations));
}

WeightPlan plan_weight(const analyze::ConstantSlot& slot, const Tensor& weight, const Tensor& bias, float input_scale,
                       const LayerScheme& scheme) {
  WeightPlan plan = weight_plan(slot, weight, scheme, grouping_of(slot, weight.shape(), scheme));
  if (bias.defined()) {
    fit_dead_channels(weight, bias, input_scale, plan);
    enlarge_for_bias(bias, input_scale, plan);
  }
  return plan;
}

}  // namespace narrow::plan
