// Constant 8-bit weights in the one form that integer kernels multiply by.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lib/tensor/tensor.h"

namespace narrow::runtime {

struct SignedWeights {
  Tensor integers;                   // int8
  std::vector<int32_t> zero_points;  // one, or one per index of the axis
};

/// uint8 weights become int8 by moving their zero point; zero points are then taken out where the differences fit
/// int8. `zero_points`: one, or one per index of `axis`; throws Error(kModel) for any other number of them.
SignedWeights sign_weights(const Tensor& weights, std::vector<int32_t> zero_points, std::optional<int64_t> axis);

}  // namespace narrow::runtime
