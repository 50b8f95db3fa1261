#pragma once

#include "lib/exec/kernel.h"

namespace narrow::runtime {

/// Input 0: float32 x. Outputs: uint8 integers, float32 scale, uint8 zero point, as DynamicQuantizeLinear defines them.
exec::KernelPtr make_dynamic_quantize();

}  // namespace narrow::runtime
