#pragma once

#include "lib/tensor/convert.h"

namespace narrow::exec {

/// convert_elements(), and strings: numbers are written as onnxruntime writes them ("%.8g" of float32 and narrower
/// floats, "%.17g" of float64, INF, -INF, NaN; bool as 0 and 1), and read as decimal integers or floating-point
/// numbers, "inf" and "nan" in any case. Throws Error(kData) for a text that is no number.
Tensor cast_tensor(const Tensor& tensor, DataType type, Workspace& workspace, const ConvertOptions& options = {});

}  // namespace narrow::exec
