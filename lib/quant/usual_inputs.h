// Second-order rounding without data, for what the inputs of products usually are.
//
// The error of an output is the sum of its weights' errors times their inputs, so it is a quadratic in them whose
// matrix is the inputs' second moments (Frantar et al., "GPTQ", arXiv:2210.17323, where data give them). Without data
// they are taken to be what activations of networks mostly are: all of one mean, and alike between neighbours in space.
// Then the errors of one kernel, and of all kernels of one output, are made to cancel where they meet the same: what a
// large weight's rounding leaves, small ones with their finer steps take up.
#pragma once

#include "lib/tensor/tensor.h"

namespace narrow::quant {

/// The tensor (float32, plain layout) as one of `type`, float16 or bfloat16. `sum_axes` as of keep_sums: the axes
/// of a kernel, then all those that an output sums over; empty: each element to the nearest.
///
/// `bias`: what is added to each output, undefined or one number for each; it will be rounded to the nearest. Where
/// large sums and a bias nearly cancel, as behind a BatchNormalization that was folded, an output feels that: its
/// weights are scaled so that the sum's error meets the bias's.
Tensor round_for_usual_inputs(const Tensor& real, DataType type, const SumAxes& sum_axes, const Tensor& bias);

}  // namespace narrow::quant
