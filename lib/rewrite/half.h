#pragma once

#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::rewrite {

/// Layers that the plan computes in float16 or bfloat16: their constants and the values between them have that type, a
/// Cast stands once at each border, in the graph that has the value: what a loop reads from around it is cast before
/// it. Names, types and shapes of inputs, outputs (of bodies too) and of the values that other layers read stay. The
/// model's opset takes the types already.
///
/// Before:  y = Conv (x, W)
/// After:   y = Cast <float> (Conv (Cast <float16> (x), W_float16))
graph::Model convert_halves(const graph::Model& model, const plan::PrecisionPlan& plan);

}  // namespace narrow::rewrite
