// Rounding that keeps sums: Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal Hessian Approximation"
// (arXiv:2202.07471).
//
// What a product's inputs have in common, their mean above all, meets the sum of its weights' errors. Nearest rounding
// leaves that sum to chance: of n weights about sqrt(n / 12) steps. A few weights that lie nearly between two codes,
// rounded the other way, bring it below half a step and hardly add to the squared error. No data is needed.
#pragma once

#include "lib/quant/quant_params.h"

namespace narrow::quant {

/// The tensor (float32, plain layout) with each element at the value of one of the two codes of `params` next to it, so
/// that along params.sum_axes, list after list, errors sum to nearly nothing. An element is rounded the other way only
/// where the square of the sum falls by more than the element's own squared error grows. Integer and floating-point
/// types; codes outside those that nearest rounding uses are not taken.
Tensor keep_sums(const Tensor& real, const QuantParams& params);

}  // namespace narrow::quant
