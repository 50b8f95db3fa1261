#pragma once

#include <string_view>

#include "lib/graph/onnx_proto.h"

namespace narrow::graph {

/// Nodes of this domain are left as they are by raise_opset(), and are ONNX's own afterwards.
inline constexpr std::string_view kKeptDomain = "narrow.kept";

/// The model at `opset` by ONNX's version converter; unchanged if it is there or beyond. What the converter's own
/// representation would lose (metadata, unknown fields, large tensors, declared inputs and outputs) is taken from the
/// original, and operators that ONNX does not have, but onnxruntime has in ONNX's domain, are kept: they mean the same
/// at every opset. Throws Error(kUnsupported) with the converter's reason.
onnx::ModelProto raise_opset(const onnx::ModelProto& model, int opset);

}  // namespace narrow::graph
