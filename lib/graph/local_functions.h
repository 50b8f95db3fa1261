// Functions that a model brings along become the nodes of their bodies.
#pragma once

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// Puts the bodies of the model's functions in place of their calls, at any depth; no function is left. Throws what
/// ONNX's inliner throws.
void inline_functions(onnx::ModelProto& proto);

}  // namespace narrow::graph
