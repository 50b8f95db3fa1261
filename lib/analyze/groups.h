#pragma once

#include "lib/analyze/analyze.h"
#include "lib/graph/graph_index.h"

namespace narrow::analyze {

/// Fills groups and group_of from the layers: pass-through operators join output to input, Concat joins its inputs to
/// its output where nothing but the Concat reads them.
void group_values(const graph::Model& model, const graph::GraphIndex& index, Analysis& analysis);

}  // namespace narrow::analyze
