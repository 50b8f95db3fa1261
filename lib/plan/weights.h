#pragma once

#include <optional>

#include "lib/plan/plan.h"

namespace narrow::plan {

/// Weight parameters of one layer from its weight's own extremes. Where |bias| / (input scale * weight scale) would not
/// fit int32, that channel's weight scale is enlarged until it does: a coarser weight is a small error, a clipped bias
/// a large one. `bias` is undefined where there is none.
WeightPlan plan_weight(const analyze::ConstantSlot& slot, const Tensor& weight, const Tensor& bias, float input_scale,
                       const LayerScheme& scheme);

/// True if a constant bias can be int32 in steps of input scale * weight scale: integers on both sides, no blocks.
bool has_integer_bias(const LayerScheme& scheme, quant::QuantType input);

/// Parameters of one weight, `slot`, of a layer that computes in float.
WeightPlan plan_stored_weight(const analyze::Layer& layer, const analyze::ConstantSlot& slot, const Tensor& weight,
                              const LayerScheme& scheme, const TargetRow& target, bool integer_activations);

}  // namespace narrow::plan
