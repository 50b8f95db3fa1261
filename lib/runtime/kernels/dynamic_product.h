// Products whose first operand is quantized as it comes.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/tensor/tensor.h"

namespace narrow::runtime {

struct DynamicProduct {
  Tensor weights;                           // int8 [K, N]
  std::vector<int32_t> weight_zero_points;  // one, or one per column
  std::vector<float> weight_scales;         // one, or one per column
};

/// Input 0: a [..., K] float32, quantized to uint8 as DynamicQuantizeLinear does -> float32 [..., N].
exec::KernelPtr make_dynamic_product(DynamicProduct product);

}  // namespace narrow::runtime
