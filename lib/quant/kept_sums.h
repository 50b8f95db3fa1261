// Rounding that keeps sums: Guo et al., "SQuant: On-the-Fly Data-Free Quantization via Diagonal Hessian Approximation"
// (arXiv:2202.07471).
//
// What a product's inputs have in common, their mean above all, meets the sum of its weights' errors. Nearest rounding
// leaves that sum to chance: of n weights about sqrt(n / 12) steps. A few weights that lie nearly between two codes,
// rounded the other way, bring it below half a step and hardly add to the squared error. No data is needed.
#pragma once

#include "lib/quant/page_release.h"
#include "lib/quant/quant_params.h"

namespace narrow::quant {

/// `codes` are the nearest ones of `real` (float32, plain layout), 4 and 2 bits unpacked. Some get the code on the
/// weight's other side, so that along params.sum_axes, list after list, errors sum to nearly nothing: where the square
/// of the sum falls by more than the element's own squared error grows. Integer and floating-point types; codes outside
/// those that nearest rounding uses are not taken. Beyond the codes hardly any memory is needed.
void keep_sums(const Tensor& real, const QuantParams& params, Tensor& codes, const Release& release = {});

}  // namespace narrow::quant
