// Functions that a model brings along become the nodes of their bodies.
#pragma once

#include <optional>

#include "lib/graph/model.h"

namespace narrow::graph {

/// Throws Error(kModel) naming a call, at any depth, with more inputs or outputs than its function has.
void check_calls(const onnx::ModelProto& proto);

/// Puts the bodies of the model's functions in place of their calls, at any depth; no function is left. Throws
/// Error(kUnsupported) naming one that can not be put in place of its calls, and Error(kModel) for what ONNX's inliner
/// throws, and as check_calls().
void inline_functions(onnx::ModelProto& proto);

/// The model so, with the types and shapes that are known then; absent if it has no functions.
std::optional<Model> without_functions(const Model& model);

}  // namespace narrow::graph
