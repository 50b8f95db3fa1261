#pragma once

#include "lib/graph/model.h"

namespace narrow::rewrite {

/// Float16 becomes float32 throughout: constants, types, the targets of casts. Graph inputs and outputs keep float16, a
/// Cast behind or in front of them. What is not integer in the quantized model then runs in float32, as CPU runtimes
/// compute float16 anyway, and every value that can be quantized is of the type that runtimes have integer kernels for.
/// A model without float16 stays as it is.
void widen_float16(graph::Model& model);

}  // namespace narrow::rewrite
