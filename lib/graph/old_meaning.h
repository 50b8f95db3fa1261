#pragma once

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// `after` is what ONNX's version converter made of `before`. Nodes that it left to what the newer opset means, which
/// is something else, are written as what they computed: Resize and Upsample before 11, Dropout's mask before 12,
/// Hardmax before 13, GroupNormalization before 21. `from` and `to`: the two opsets.
void keep_old_meaning(const onnx::ModelProto& before, int from, int to, onnx::ModelProto& after);

}  // namespace narrow::graph
