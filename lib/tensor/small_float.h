// Floating-point formats of 16 bits and less: one encoder and one decoder for all of them.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "lib/tensor/data_type.h"

namespace narrow {

/// What a format spends its highest codes on.
enum class SpecialCodes {
  kInfAndNan,       // IEEE 754: exponent of ones is infinity (fraction 0) or NaN
  kNan,             // "fn": all ones is NaN, no infinity
  kNanIsMinusZero,  // "fnuz": the code of -0 is the only NaN, no infinity
  kNone,            // every code is a number
};

/// Value of a code: (-1)^sign * 2^(exponent - bias) * 1.fraction; exponent 0 is subnormal.
struct SmallFloat {
  int exponent_bits;
  int fraction_bits;
  int bias;
  SpecialCodes special;

  constexpr int magnitude_bits() const { return exponent_bits + fraction_bits; }
  constexpr uint32_t exponent_of_ones() const { return ((1U << exponent_bits) - 1) << fraction_bits; }
  /// The largest finite magnitude.
  constexpr uint32_t max_code() const {
    const uint32_t ones = (1U << magnitude_bits()) - 1;
    if (special == SpecialCodes::kInfAndNan) return exponent_of_ones() - 1;
    return special == SpecialCodes::kNan ? ones - 1 : ones;
  }
};

/// Formats with a sign and a fraction; float8e8m0, which has neither, is below.
template <DataType type>
inline constexpr SmallFloat kSmallFloat{};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat16>{5, 10, 15, SpecialCodes::kInfAndNan};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kBfloat16>{8, 7, 127, SpecialCodes::kInfAndNan};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat8e4m3fn>{4, 3, 7, SpecialCodes::kNan};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat8e4m3fnuz>{4, 3, 8, SpecialCodes::kNanIsMinusZero};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat8e5m2>{5, 2, 15, SpecialCodes::kInfAndNan};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat8e5m2fnuz>{5, 2, 16, SpecialCodes::kNanIsMinusZero};
template <>
inline constexpr SmallFloat kSmallFloat<DataType::kFloat4e2m1>{2, 1, 1, SpecialCodes::kNone};

/// What becomes of a magnitude that rounds beyond the largest finite one.
enum class Overflow {
  kSaturate,  // the largest finite magnitude; infinities too
  kSpecial,   // infinity, or NaN where the format has none, or the largest magnitude where it has neither
};

/// 2^exponent, for normal results.
constexpr float power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
}

/// condition ? yes : no, in a form that compilers keep free of branches.
constexpr uint32_t select(bool condition, uint32_t yes, uint32_t no) {
  const uint32_t mask = 0U - static_cast<uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

/// The code of `value`, rounded half to even. A NaN keeps its sign and the highest bits of its fraction; where the
/// format has no NaN it becomes -0, as other implementations have it. Without branches, so that loops over it
/// vectorize.
template <SmallFloat format>
constexpr uint32_t encode_float(float value, Overflow overflow) {
  constexpr int kShift = 23 - format.fraction_bits;
  constexpr uint32_t kRebias = static_cast<uint32_t>(127 - format.bias) << 23;
  constexpr uint32_t kInfinity = 0x7F800000U;
  constexpr uint32_t kMinNormal = format.bias == 127 ? 0 : kRebias + (1U << 23);
  constexpr uint32_t kSign = 1U << format.magnitude_bits();
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7FFFFFFFU;
  const uint32_t sign = bits >> (31 - format.magnitude_bits()) & kSign;

  const uint32_t normal = (magnitude - kRebias + (1U << (kShift - 1)) - 1 + ((magnitude >> kShift) & 1U)) >> kShift;
  uint32_t code = normal;
  if constexpr (format.bias != 127) {
    // The sum's last place is the smallest subnormal's: the addition does the rounding.
    constexpr float kMagic = power_of_two(24 - format.bias - format.fraction_bits);
    const uint32_t clamped = select(magnitude < kMinNormal, magnitude, 0);
    const uint32_t subnormal =
        std::bit_cast<uint32_t>(std::bit_cast<float>(clamped) + kMagic) - std::bit_cast<uint32_t>(kMagic);
    code = select(magnitude < kMinNormal, subnormal, normal);
  }
  uint32_t beyond = format.max_code();
  uint32_t nan = kSign;
  if constexpr (format.special == SpecialCodes::kInfAndNan) {
    if (overflow == Overflow::kSpecial) beyond = format.exponent_of_ones();
    constexpr uint32_t kQuiet = 1U << (format.fraction_bits - 1);
    nan = sign | format.exponent_of_ones() | kQuiet | ((magnitude & 0x7FFFFFU) >> kShift);
  } else if constexpr (format.special == SpecialCodes::kNan) {
    if (overflow == Overflow::kSpecial) beyond = format.max_code() + 1;
    nan = sign | (format.max_code() + 1);
  } else if constexpr (format.special == SpecialCodes::kNanIsMinusZero) {
    if (overflow == Overflow::kSpecial) beyond = kSign;
  }
  code = select(code > format.max_code(), beyond, code);
  if constexpr (format.special == SpecialCodes::kNanIsMinusZero) {
    code = select(code == 0, 0, code | sign);
  } else {
    code |= sign;
  }
  return select(magnitude > kInfinity, nan, code);
}

/// The value of a code; exact.
template <SmallFloat format>
constexpr float decode_float(uint32_t code) {
  constexpr int kShift = 23 - format.fraction_bits;
  constexpr uint32_t kMagnitude = (1U << format.magnitude_bits()) - 1;
  const uint32_t magnitude = code & kMagnitude;
  const uint32_t sign = (code & (kMagnitude + 1)) << (31 - format.magnitude_bits());
  uint32_t bits = magnitude << kShift;
  if constexpr (format.bias != 127) {
    constexpr uint32_t kRebias = static_cast<uint32_t>(127 - format.bias) << 23;
    constexpr float kStep = power_of_two(1 - format.bias - format.fraction_bits);
    const float subnormal = static_cast<float>(static_cast<int32_t>(magnitude)) * kStep;
    bits = select(magnitude < (1U << format.fraction_bits), std::bit_cast<uint32_t>(subnormal), bits + kRebias);
    if constexpr (format.special == SpecialCodes::kInfAndNan) {
      bits = select(magnitude >= format.exponent_of_ones(), (magnitude << kShift) | 0x7F800000U, bits);
    }
  }
  constexpr uint32_t kQuietNan = 0x7FC00000U;
  if constexpr (format.special == SpecialCodes::kNan) bits = select(magnitude == kMagnitude, kQuietNan, bits);
  if constexpr (format.special == SpecialCodes::kNanIsMinusZero) {
    return std::bit_cast<float>(select(code == kMagnitude + 1, kQuietNan, bits | sign));
  }
  return std::bit_cast<float>(bits | sign);
}

/// Which of two neighbouring powers of two a value between them becomes.
enum class ScaleRounding { kUp, kDown, kNearest };  // kNearest: the upper one from the middle on

/// float8e8m0: code c is 2^(c - 127), 255 is NaN. The sign is ignored (ONNX leaves negative values open). Zero and
/// magnitudes out of range become the nearest code, or NaN unless they saturate.
uint8_t encode_e8m0(float value, Overflow overflow, ScaleRounding rounding);
float decode_e8m0(uint8_t code);

/// `value` in float32, such that any format of at most 22 significant bits rounds it as it would round `value`: towards
/// zero, with the last bit set if anything was lost ("round to odd").
float round_to_odd(double value);
float round_to_odd(int64_t value);
float round_to_odd(uint64_t value);

}  // namespace narrow
