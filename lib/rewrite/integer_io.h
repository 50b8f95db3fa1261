// Inputs and outputs of the model as integers.
#pragma once

#include "lib/base/json.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::rewrite {

/// Key of the model's metadata under which integer inputs and outputs are listed.
inline constexpr std::string_view kIntegerIoKey = "narrow.integer_io";

/// The model with the inputs and outputs that plan.form.integer_io names as integers, under their names:
///
/// Before:  input float x;  x_q = QuantizeLinear (x);  ...  y = DequantizeLinear (y_q);  output float y
/// After:   input uint8 x;  ...  output uint8 y
///
/// Their types, scales and zero points are in the metadata: {"x": {"type", "scale", "zero_point"}}.
graph::Model with_integer_io(const graph::Model& model, const plan::PrecisionPlan& plan);

/// The model with float inputs and outputs again, as its metadata tells; unchanged if they tell nothing. Throws
/// Error(kModel) for metadata that do not fit the model.
graph::Model with_float_io(const graph::Model& model);

/// What the metadata tell; null if nothing. Throws Error(kModel) for metadata that are no JSON object.
Json integer_io(const graph::Model& model);

}  // namespace narrow::rewrite
