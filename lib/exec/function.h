// Operators without a kernel of ours run by the function body that ONNX's schema gives them.
#pragma once

#include "lib/exec/float_program.h"

namespace narrow::exec {

/// True if the schema of the operator in this version has a body, fixed or made from a node and its input types.
bool has_function(const onnx::NodeProto& node, int opset);

/// The body of request.node, compiled now where the types of its inputs are known, and otherwise when it meets them.
/// Throws Error(kUnsupported) naming the node where the schema has no body for it or a node inside has no kernel.
KernelPtr make_function(const KernelRequest& request);

}  // namespace narrow::exec
