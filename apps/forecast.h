// How near a model will come once its weights are rounded well, told without rounding them well.
#pragma once

#include "apps/judge.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::apps {

/// Expected SQNR in dB: the noise of rounded activations as it is, of the noise that weights rounded to the nearest add
/// the share that second-order rounding usually leaves. Two runs over the judge's samples, where rounding takes
/// minutes.
double expected_sqnr_db(const Judge& judge, const graph::Model& model, const plan::PrecisionPlan& plan);

}  // namespace narrow::apps
