// What the operators with bodies share.
#pragma once

#include <span>
#include <string_view>

#include "lib/exec/scope.h"

namespace narrow::exec {

/// The graph attribute of the node. Throws Error(kUnsupported) if there is none.
const onnx::GraphProto& body_of(const KernelRequest& request, std::string_view attribute);

/// The results of all iterations along a new axis. Of no iteration, an empty tensor of the type that the body declares
/// for one, unknown dimensions being 0; throws Error(kModel) if it declares none.
Tensor stack_rows(std::span<const Tensor> rows, const graph::ValueType& row_type, int64_t axis, Workspace& workspace);

}  // namespace narrow::exec
