// Inputs whose values lie on a grid are set on it, so that 8 bits hold them exactly.
//
// Images are 256 levels, of which (pixel * scale - mean) / std makes 256 numbers at equal distances, in each channel
// its own. One scale and zero point for the tensor meets none of them: rounding errs as it does for any numbers, on
// ties (x / 127.5 - 1) with three times the power. A Mul and an Add by channel bring every channel on one grid, and the
// convolution that reads them takes both back: exact in the reals but for the border.
#pragma once

#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

/// Values that a convolution reads, model inputs or transposed ones, of which every channel has at most 256 levels at
/// equal distances in `samples`, while `plan` gives it other integers. The result does not depend on the number of
/// workers.
std::vector<plan::AlignedInput> find_grids(const graph::Model& model, const plan::PrecisionPlan& plan,
                                           const Samples& samples, int workers);

/// The model with [Pad], [Mul] and [Add] between each value and its convolution, whose weight and bias take factors and
/// shifts back. A Pad does what the convolution's padding did where zeros would lie more than half a step off the
/// grid. Throws Error(kUsage) for a value that no such convolution alone reads.
graph::Model align(const graph::Model& model, const std::vector<plan::AlignedInput>& inputs);

/// What align() would scale and shift, as a share of the elements of all values that `plan` has on integers, of one
/// sample each; 1 where a shape is not known.
double added_share(const graph::Model& model, const plan::PrecisionPlan& plan,
                   const std::vector<plan::AlignedInput>& inputs);

/// A quantized aligned model whose values are rounded as `before` rounds them in front of it: what its integers then
/// lose is what aligning gains. `before` has the values.
graph::Model round_inputs(const graph::Model& quantized, const std::vector<plan::AlignedInput>& inputs,
                          const plan::PrecisionPlan& before);

/// Whether rules pick the same layers of an aligned model as of the model before: none goes by depth or by the values
/// that layers read, which added nodes change.
bool keeps_rules(const plan::Rules& rules);

/// What the plan of an aligned model needs beside `rules`: added nodes stay float.
plan::Rules rules_behind(const graph::Model& aligned, const std::vector<plan::AlignedInput>& inputs, plan::Rules rules);

/// Sets the ranges of aligned values, so that their 8 bits are the grid.
void set_grids(const graph::Model& aligned, const std::vector<plan::AlignedInput>& inputs, plan::Ranges& ranges);

/// Whether `plan`, of the aligned model, has the values on their grids, in the types that `before` gave them.
bool on_grids(const plan::PrecisionPlan& plan, const std::vector<plan::AlignedInput>& inputs,
              const plan::PrecisionPlan& before);

}  // namespace narrow::recover
