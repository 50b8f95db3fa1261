// Gradient of ai.onnx.preview.training becomes the operators that compute it.
#pragma once

#include "lib/graph/model.h"

namespace narrow::graph {

/// Puts the derivative in the place of each Gradient node of the main graph: the nodes between its `xs` and its `y`
/// once more, on the values that it is fed, and then back from y by reverse accumulation (dy/dx of the sum of y's
/// elements). Returns whether there was one. Shapes must be inferred where operands broadcast. Throws Error(kModel) for
/// names that the graph does not have, Error(kUnsupported) naming a node whose derivative is not known.
bool spell_gradients(Model& model);

}  // namespace narrow::graph
