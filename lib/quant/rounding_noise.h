// Random numbers for stochastic rounding, by the element's number: no order of computation matters.
#pragma once

#include <cstdint>
#include <string_view>

namespace narrow::quant {

class RoundingNoise {
 public:
  /// Every seed and name (of the tensor that is rounded) has numbers of its own.
  RoundingNoise(uint64_t seed, std::string_view name);

  uint64_t seed() const { return seed_; }

  /// The number in [0, 1) of one element.
  double at(uint64_t element) const;

  bool operator==(const RoundingNoise&) const = default;

 private:
  uint64_t seed_;
  uint64_t key_;
};

}  // namespace narrow::quant
