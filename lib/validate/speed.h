#pragma once

#include <vector>

#include "lib/exec/program.h"
#include "lib/validate/validate.h"

namespace narrow::validate {

/// Runs both programs over the feeds in turn, `repetitions` times after one untimed round of each.
Speed measure_speed(const exec::Program& float_program, const exec::Program& integer_program,
                    const std::vector<exec::Feed>& feeds, int repetitions);

}  // namespace narrow::validate
