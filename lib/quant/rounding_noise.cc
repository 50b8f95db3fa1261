#include "lib/quant/rounding_noise.h"

namespace narrow::quant {
namespace {

constexpr uint64_t kGamma = 0x9E3779B97F4A7C15;  // 2^64 divided by the golden ratio

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014),
/// whose state only counts: so any number of the sequence is known at once.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

RoundingNoise::RoundingNoise(uint64_t seed, std::string_view name) : seed_(seed), key_(mix(seed + kGamma)) {
  for (const char c : name) key_ = mix(key_ ^ static_cast<unsigned char>(c)) + kGamma;
}

double RoundingNoise::at(uint64_t element) const {
  return static_cast<double>(mix(key_ + (element + 1) * kGamma) >> 11) * 0x1p-53;
}

}  // namespace narrow::quant
