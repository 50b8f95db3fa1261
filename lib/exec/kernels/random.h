// Random numbers that do not depend on the run: those of ONNX's reference implementation for a seed.
#pragma once

#include <cstdint>
#include <random>

namespace narrow::exec {

/// MT19937; 53-bit fractions and Marsaglia's polar method, in the order of numpy.random.RandomState.
class RandomNumbers {
 public:
  explicit RandomNumbers(uint32_t seed) : generator_(seed) {}

  /// In [0, 1).
  double uniform();
  /// Mean 0, variance 1.
  double normal();

 private:
  std::mt19937 generator_;
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace narrow::exec
