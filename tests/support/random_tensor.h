// Tensors of random numbers.
#pragma once

#include <cstdint>
#include <random>

#include "lib/tensor/tensor.h"

namespace narrow::test {

/// float32, uniform in [low, high), the same for each seed.
inline Tensor uniform(const Shape& shape, uint32_t seed, float low = -1, float high = 1) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> draw(low, high);
  Tensor result(DataType::kFloat32, shape);
  for (float& element : result.mutable_data<float>()) element = draw(random);
  return result;
}

}  // namespace narrow::test
