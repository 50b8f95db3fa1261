// Functions that a model brings along become the nodes of their bodies.
#pragma once

#include <optional>

#include "lib/graph/model.h"

namespace narrow::graph {

/// Puts the bodies of the model's functions in place of their calls, at any depth; no function is left. Throws
/// Error(kUnsupported) naming one that can not be put in place of its calls, and what ONNX's inliner throws.
void inline_functions(onnx::ModelProto& proto);

/// The model so, with the types and shapes that are known then; absent if it has no functions.
std::optional<Model> without_functions(const Model& model);

}  // namespace narrow::graph
