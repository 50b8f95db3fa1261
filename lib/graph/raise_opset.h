#pragma once

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// The model at `opset` by ONNX's version converter; unchanged if it is there or beyond. What the converter's own
/// representation would lose (metadata, unknown fields, large tensors, declared inputs and outputs) is taken from the
/// original. Throws Error(kUnsupported) with the converter's reason.
onnx::ModelProto raise_opset(const onnx::ModelProto& model, int opset);

}  // namespace narrow::graph
