#include "lib/tensor/small_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace narrow {
namespace {

// Every format as data, so that the tests are loops and not templates.
struct Format {
  DataType type;
  int exponent_bits;
  int fraction_bits;
  int bias;
  SpecialCodes special;
  uint32_t (*encode)(float, Overflow);
  float (*decode)(uint32_t);
};

template <DataType type>
Format format_of() {
  constexpr SmallFloat f = kSmallFloat<type>;
  return {type, f.exponent_bits, f.fraction_bits, f.bias, f.special, encode_float<f>, decode_float<f>};
}

const std::vector<Format>& formats() {
  static const std::vector<Format> all{
      format_of<DataType::kFloat16>(),      format_of<DataType::kBfloat16>(),
      format_of<DataType::kFloat8e4m3fn>(), format_of<DataType::kFloat8e4m3fnuz>(),
      format_of<DataType::kFloat8e5m2>(),   format_of<DataType::kFloat8e5m2fnuz>(),
      format_of<DataType::kFloat4e2m1>(),
  };
  return all;
}

// By the definition: (-1)^sign * 2^(exponent - bias) * 1.fraction.
double defined_value(const Format& f, uint32_t code) {
  const auto fraction = static_cast<int>(code & ((1U << f.fraction_bits) - 1));
  const auto exponent = static_cast<int>(code >> f.fraction_bits & ((1U << f.exponent_bits) - 1));
  const bool negative = (code >> (f.fraction_bits + f.exponent_bits)) != 0;
  const double step = std::ldexp(1.0, std::max(exponent, 1) - f.bias - f.fraction_bits);
  const double magnitude = step * (fraction + (exponent == 0 ? 0 : 1 << f.fraction_bits));
  return negative ? -magnitude : magnitude;
}

uint32_t code_count(const Format& f) {
  return 2U << (f.exponent_bits + f.fraction_bits);
}

// The largest finite code, from the formats' tables: 65504, 3.39e38, 448, 240, 57344, 57344, 6.
uint32_t largest_code(DataType type) {
  switch (type) {
    case DataType::kFloat16:
      return 0x7BFF;
    case DataType::kBfloat16:
      return 0x7F7F;
    case DataType::kFloat8e4m3fn:
      return 0x7E;
    case DataType::kFloat8e5m2:
      return 0x7B;
    case DataType::kFloat4e2m1:
      return 0x7;
    default:
      return 0x7F;
  }
}

TEST(SmallFloat, LargestValuesAreThoseOfTheFormats) {
  const std::vector<float> expected{65504.0F, 0x1.FEp127F, 448.0F, 240.0F, 57344.0F, 57344.0F, 6.0F};
  for (size_t i = 0; i < formats().size(); ++i) {
    EXPECT_EQ(formats()[i].decode(largest_code(formats()[i].type)), expected[i]) << data_type_name(formats()[i].type);
  }
}

TEST(SmallFloat, EveryCodeHasItsDefinedValueAndComesBack) {
  for (const Format& f : formats()) {
    const uint32_t sign = code_count(f) / 2;
    for (uint32_t code = 0; code < code_count(f); ++code) {
      const uint32_t magnitude = code % sign;
      const float value = f.decode(code);
      const bool is_minus_zero = f.special == SpecialCodes::kNanIsMinusZero && code == sign;
      if (magnitude > largest_code(f.type) || is_minus_zero) {
        const bool infinite = f.special == SpecialCodes::kInfAndNan && magnitude == largest_code(f.type) + 1;
        EXPECT_EQ(std::isinf(value), infinite) << data_type_name(f.type) << code;
        EXPECT_EQ(std::isnan(value), !infinite) << data_type_name(f.type) << code;
      } else {
        ASSERT_EQ(static_cast<double>(value), defined_value(f, code)) << data_type_name(f.type) << ' ' << code;
      }
      // A NaN that is not quiet becomes so.
      const uint32_t quiet =
          f.special == SpecialCodes::kInfAndNan && std::isnan(value) ? 1U << (f.fraction_bits - 1) : 0;
      ASSERT_EQ(f.encode(value, Overflow::kSpecial), code | quiet) << data_type_name(f.type) << ' ' << code;
    }
  }
}

// Between each two neighbours: the middle goes to the even code, a hair beside it to the nearer one.
TEST(SmallFloat, RoundsHalfToEvenBetweenAllNeighbours) {
  for (const Format& f : formats()) {
    for (uint32_t code = 0; code < largest_code(f.type); ++code) {
      const float middle = f.decode(code) / 2 + f.decode(code + 1) / 2;
      if (f.type != DataType::kBfloat16) {
        ASSERT_EQ(static_cast<double>(middle), (defined_value(f, code) + defined_value(f, code + 1)) / 2);
      } else if (code < 0x80) {
        continue;  // halves of float32's own subnormals
      }
      const uint32_t even = code % 2 == 0 ? code : code + 1;
      const auto encode = [&](float value) { return f.encode(value, Overflow::kSaturate); };
      ASSERT_EQ(encode(middle), even) << data_type_name(f.type) << ' ' << code;
      ASSERT_EQ(encode(std::nextafter(middle, 0.0F)), code) << data_type_name(f.type) << ' ' << code;
      ASSERT_EQ(encode(std::nextafter(middle, INFINITY)), code + 1) << data_type_name(f.type) << ' ' << code;
      const uint32_t sign = code_count(f) / 2;
      const uint32_t minus = f.special == SpecialCodes::kNanIsMinusZero && even == 0 ? 0 : even | sign;
      ASSERT_EQ(encode(-middle), minus) << data_type_name(f.type) << ' ' << code;
    }
  }
}

// Values beyond the largest code saturate, or become what the tables of ONNX's Cast say.
TEST(SmallFloat, OverflowBeginsHalfAStepBeyondTheLargestValue) {
  for (const Format& f : formats()) {
    const uint32_t largest = largest_code(f.type);
    const float top = f.decode(largest);
    const float half_step = (top - f.decode(largest - 1)) / 2;
    // The largest code's fraction is odd where the next one would be infinity or NaN by rounding up a tie.
    const bool tie_overflows = largest % 2 == 1;
    const float limit = top + half_step;
    const uint32_t sign = code_count(f) / 2;
    uint32_t special = largest;
    if (f.special == SpecialCodes::kInfAndNan || f.special == SpecialCodes::kNan) special = largest + 1;
    if (f.special == SpecialCodes::kNanIsMinusZero) special = sign;
    EXPECT_EQ(f.encode(limit, Overflow::kSpecial), tie_overflows ? special : largest) << data_type_name(f.type);
    EXPECT_EQ(f.encode(std::nextafter(limit, 0.0F), Overflow::kSpecial), largest) << data_type_name(f.type);
    for (const float value : {std::nextafter(limit, INFINITY), std::numeric_limits<float>::max(), INFINITY}) {
      EXPECT_EQ(f.encode(value, Overflow::kSaturate), largest) << data_type_name(f.type);
      EXPECT_EQ(f.encode(-value, Overflow::kSaturate), largest | sign) << data_type_name(f.type);
      if (f.type == DataType::kBfloat16 && value < INFINITY) continue;  // the limit is close to float32's own
      EXPECT_EQ(f.encode(value, Overflow::kSpecial), special) << data_type_name(f.type);
      EXPECT_EQ(f.encode(-value, Overflow::kSpecial), special | sign) << data_type_name(f.type);
    }
  }
}

// Codes that ml_dtypes 0.6 gives for NaN, -NaN, inf, -inf, 100, -100, -0, 5, 5.1, 0.25, 0.75.
TEST(SmallFloat, AgreesWithMlDtypes) {
  const std::vector<float> values{NAN, -NAN, INFINITY, -INFINITY, 100, -100, -0.0F, 5, 5.1F, 0.25F, 0.75F};
  const std::vector<std::pair<DataType, std::vector<uint32_t>>> expected{
      {DataType::kFloat8e5m2, {0x7E, 0xFE, 0x7C, 0xFC, 0x56, 0xD6, 0x80, 0x45, 0x45, 0x34, 0x3A}},
      {DataType::kFloat8e4m3fnuz, {0x80, 0x80, 0x80, 0x80, 0x74, 0xF4, 0x00, 0x52, 0x52, 0x30, 0x3C}},
      {DataType::kBfloat16, {0x7FC0, 0xFFC0, 0x7F80, 0xFF80, 0x42C8, 0xC2C8, 0x8000, 0x40A0, 0x40A3, 0x3E80, 0x3F40}},
  };
  for (const auto& [type, codes] : expected) {
    for (const Format& f : formats()) {
      if (f.type != type) continue;
      for (size_t i = 0; i < values.size(); ++i) {
        EXPECT_EQ(f.encode(values[i], Overflow::kSpecial), codes[i]) << data_type_name(type) << ' ' << values[i];
      }
    }
  }
}

TEST(SmallFloat, E8m0CodesArePowersOfTwo) {
  for (int code = 0; code < 255; ++code) {
    const float value = decode_e8m0(static_cast<uint8_t>(code));
    EXPECT_EQ(static_cast<double>(value), std::ldexp(1.0, code - 127));
    for (const auto rounding : {ScaleRounding::kUp, ScaleRounding::kDown, ScaleRounding::kNearest}) {
      EXPECT_EQ(encode_e8m0(value, Overflow::kSpecial, rounding), code);
    }
  }
  EXPECT_TRUE(std::isnan(decode_e8m0(255)));
}

TEST(SmallFloat, E8m0RoundsAsAsked) {
  struct Case {
    float value;
    int up;
    int down;
    int nearest;
  };
  for (const Case& c : {Case{1.25F, 128, 127, 127}, Case{1.5F, 128, 127, 128}, Case{1.75F, 128, 127, 128},
                        Case{0.7F, 127, 126, 126}, Case{0.75F, 127, 126, 127}, Case{3.0F, 129, 128, 129}}) {
    EXPECT_EQ(encode_e8m0(c.value, Overflow::kSaturate, ScaleRounding::kUp), c.up) << c.value;
    EXPECT_EQ(encode_e8m0(c.value, Overflow::kSaturate, ScaleRounding::kDown), c.down) << c.value;
    EXPECT_EQ(encode_e8m0(c.value, Overflow::kSaturate, ScaleRounding::kNearest), c.nearest) << c.value;
  }
}

// The two columns of ONNX's table.
TEST(SmallFloat, E8m0SpecialValues) {
  const float largest = std::numeric_limits<float>::max();
  const auto saturating = [](float x) { return encode_e8m0(x, Overflow::kSaturate, ScaleRounding::kUp); };
  const auto special = [](float x) { return encode_e8m0(x, Overflow::kSpecial, ScaleRounding::kNearest); };
  EXPECT_EQ(saturating(0.0F), 0);
  EXPECT_EQ(saturating(0x1p-149F), 0);
  EXPECT_EQ(saturating(INFINITY), 254);
  EXPECT_EQ(saturating(largest), 254);
  EXPECT_EQ(saturating(NAN), 255);
  for (const float value : {0.0F, 0x1p-149F, INFINITY, largest, NAN}) EXPECT_EQ(special(value), 255) << value;
}

// 1 + 2^-11 is a tie of float16; 2^-40 more is lost in float32 by nearest rounding, but decides.
TEST(SmallFloat, RoundToOddKeepsWhatDecidesATie) {
  constexpr SmallFloat kHalf = kSmallFloat<DataType::kFloat16>;
  const double above = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(encode_float<kHalf>(static_cast<float>(above), Overflow::kSpecial), 0x3C00U);  // rounded twice: wrong
  EXPECT_EQ(encode_float<kHalf>(round_to_odd(above), Overflow::kSpecial), 0x3C01U);
  EXPECT_EQ(encode_float<kHalf>(round_to_odd(-above), Overflow::kSpecial), 0xBC01U);
  EXPECT_EQ(round_to_odd(1.5), 1.5F);
  EXPECT_EQ(round_to_odd(1e300), std::numeric_limits<float>::max());
  EXPECT_EQ(round_to_odd(1e-300), 0x1p-149F);
  EXPECT_TRUE(std::isinf(round_to_odd(static_cast<double>(INFINITY))));
  EXPECT_EQ(round_to_odd(int64_t{-5}), -5.0F);
  constexpr SmallFloat kBrain = kSmallFloat<DataType::kBfloat16>;
  const int64_t tie = (int64_t{1} << 62) + (int64_t{1} << 54);
  EXPECT_EQ(encode_float<kBrain>(round_to_odd(tie), Overflow::kSpecial), 0x5E80U);
  EXPECT_EQ(encode_float<kBrain>(round_to_odd(tie + 1), Overflow::kSpecial), 0x5E81U);
  EXPECT_EQ(encode_float<kBrain>(round_to_odd(-tie - 1), Overflow::kSpecial), 0xDE81U);
}

}  // namespace
}  // namespace narrow
