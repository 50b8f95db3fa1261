#pragma once

#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::exec {

/// The elements converted as ONNX's Cast does: towards zero to integers, saturating nothing, NaN kept; float16 and
/// bfloat16 round half to even. Keeps the layout. Throws Error(kUnsupported) for strings and 8-bit floats.
Tensor cast_tensor(const Tensor& tensor, DataType type, Workspace& workspace);

}  // namespace narrow::exec
