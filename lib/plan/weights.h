#pragma once

#include <optional>

#include "lib/plan/plan.h"

namespace narrow::plan {

/// Weight parameters of one layer from its weight's own extremes. Where |bias| / (input scale * weight scale) would not
/// fit int32, that channel's weight scale is enlarged until it does: a coarser weight is a small error, a clipped bias
/// a large one. `bias` is undefined where there is none.
WeightPlan plan_weight(const analyze::ConstantSlot& slot, const Tensor& weight, const Tensor& bias, float input_scale,
                       const LayerScheme& scheme);

}  // namespace narrow::plan
