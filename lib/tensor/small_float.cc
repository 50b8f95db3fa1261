#include "lib/tensor/small_float.h"

#include <cmath>

namespace narrow {

uint8_t encode_e8m0(float value, Overflow overflow, ScaleRounding rounding) {
  constexpr uint8_t kNan = 255;
  constexpr int kMaxCode = 254;
  if (std::isnan(value)) return kNan;
  const bool saturate = overflow == Overflow::kSaturate;
  if (std::isinf(value)) return saturate ? kMaxCode : kNan;
  int exponent = 0;
  const float fraction = std::frexp(std::abs(value), &exponent);  // in [0.5, 1), or 0
  if (fraction == 0) return saturate ? 0 : kNan;
  const bool up =
      rounding == ScaleRounding::kUp ? fraction > 0.5F : rounding == ScaleRounding::kNearest && fraction >= 0.75F;
  const int code = exponent - 1 + 127 + (up ? 1 : 0);
  if (code < 0) return saturate ? 0 : kNan;
  if (code > kMaxCode) return saturate ? kMaxCode : kNan;
  return static_cast<uint8_t>(code);
}

float decode_e8m0(uint8_t code) {
  if (code == 255) return std::numeric_limits<float>::quiet_NaN();
  return std::ldexp(1.0F, code - 127);
}

float round_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(value)) --bits;
  return std::bit_cast<float>(bits | 1U);
}

float round_to_odd(uint64_t value) {
  const int excess = static_cast<int>(std::bit_width(value)) - 24;
  if (excess <= 0) return static_cast<float>(value);
  const uint64_t kept = value >> excess;
  const bool lost = (kept << excess) != value;
  return std::ldexp(static_cast<float>(kept | (lost ? 1U : 0U)), excess);
}

float round_to_odd(int64_t value) {
  const auto magnitude = value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const float result = round_to_odd(magnitude);
  return value < 0 ? -result : result;
}

}  // namespace narrow
