// Ranges of the model's inputs that do not set their values on ties.
//
// Pixels as x / 127.5 - 1 lie one step of [-1, 1] / 255 apart, and no zero point is the middle of 255 steps: each value
// lies half a step off the grid, and rounding errs by that half everywhere, three times the power of what rounding
// usually errs by. A range wider by a fraction of a percent moves values across the grid and makes it the usual again.
// It is the search of a range by what rounding does (LAPQ, arXiv:1911.07190), where it finds something: on the data
// that the range was not chosen on, narrower ranges of inner activations gained nothing (docs/recovery.md).
#pragma once

#include <cstdint>

#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

/// Widens ranges in `plan` where the mean squared error of rounding an input's values falls to less than two thirds;
/// the number of inputs changed. Inputs that are integers in the file stay: others read them by that scale. The result
/// does not depend on the number of workers.
int64_t widen_input_ranges(const graph::Model& model, plan::PrecisionPlan& plan, const Samples& samples, int workers);

}  // namespace narrow::recover
