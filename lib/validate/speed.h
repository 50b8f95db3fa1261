#pragma once

#include "lib/validate/timed_runs.h"
#include "lib/validate/validate.h"

namespace narrow::validate {

/// Turns alternate between both, `turns` of each, on the same feeds, after untimed runs.
Speed measure_speed(TimedRuns& float_runs, TimedRuns& integer_runs, int turns);

}  // namespace narrow::validate
