// Operators that compute on integers by themselves (QLinearConv, QGemm, ...) as what they stand for: QuantizeLinear and
// DequantizeLinear around a float operator.
#pragma once

#include <optional>

#include "lib/graph/model.h"

namespace narrow::runtime {

/// The model with each QLinear operator of ONNX and of com.microsoft as a QDQ group under the operator's name, so that
/// lowering knows one form; absent if the main graph has none. An operator whose scales are not constant, or whose data
/// are channels-last, stays as it is.
std::optional<graph::Model> qoperators_to_qdq(const graph::Model& model);

}  // namespace narrow::runtime
