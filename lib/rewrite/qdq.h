// The QDQ rewrite: a normalized float model and a plan into a quantized model.
#pragma once

#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::rewrite {

/// QuantizeLinear/DequantizeLinear pairs by the plan; weights and biases become integer initializers behind
/// DequantizeLinear; folded clamps and dead float initializers are removed. Model inputs and outputs keep names, types
/// and shapes. The result is shape-inferred by the caller (io::infer_shapes).
graph::Model rewrite_to_qdq(const graph::Model& model, const plan::PrecisionPlan& plan);

}  // namespace narrow::rewrite
