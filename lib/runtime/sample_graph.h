// A model that is lowered, as the question whether its samples are apart wants it.
#pragma once

#include "lib/exec/sample_axis.h"
#include "lib/runtime/integer_step.h"

namespace narrow::runtime {

/// Valid as long as the context.
exec::SampleGraph sample_graph(const LowerContext& context);

}  // namespace narrow::runtime
