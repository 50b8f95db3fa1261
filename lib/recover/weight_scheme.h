// How a plan's weight came to its parameters; plans say the parameters alone.
#pragma once

#include "lib/quant/quant_params.h"
#include "lib/tensor/tensor.h"

namespace narrow::recover {

/// The scheme that makes such parameters from the weight. Reduced range is told by the integers that nearest rounding
/// uses.
quant::Scheme weight_scheme(const Tensor& weight, const quant::QuantParams& params);

/// The integers that the weight's rounding may use: those of its scheme, and those that nearest rounding uses: where
/// the range was fitted by squared error, it clips at the type's own limits.
quant::IntegerLimits weight_limits(const Tensor& weight, const quant::QuantParams& params);

}  // namespace narrow::recover
