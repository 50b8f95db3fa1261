// Something to run a model on where there are no data: for measuring time.
#pragma once

#include <vector>

#include "calib/data_reader.h"
#include "lib/exec/program.h"

namespace narrow::apps {

/// Numbers in [0, 1) for float32 inputs, the same ones each time; zeros for others. A free first axis becomes `batch`.
/// Throws Error(kUsage) for an input with another free axis.
exec::Feed random_feed(const std::vector<calib::InputSpec>& inputs, int64_t batch);

}  // namespace narrow::apps
