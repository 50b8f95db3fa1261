#include "lib/quant/quant_type.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/quant/quant_params.h"

namespace narrow::quant {
namespace {

TEST(QuantTypeTest, RowsHoldWhatTheirBitsSay) {
  for (const QuantTypeRow& r : quant_types()) {
    EXPECT_EQ(r.is_signed, r.qmin < 0) << r.name;
    EXPECT_EQ(quant_type_from_name(r.name), r.type);
    if (needs_decoder(r.type)) continue;  // in memory otherwise than in files
    if (!r.is_float) {
      EXPECT_EQ(r.qmax - r.qmin, (int64_t{1} << r.bits) - 1) << r.name;
    }
    EXPECT_EQ(data_type_bits(r.storage), r.bits) << r.name;
    EXPECT_EQ(data_type_name(r.storage), r.name);
    EXPECT_EQ(quant_type_of_storage(r.storage), r.type);
  }
}

TEST(QuantTypeTest, OnlyWeightsHaveTypesThatNeedADecoder) {
  EXPECT_THAT(weight_type_names(), testing::IsSupersetOf({"int8", "float8e4m3fn", "binary", "codebook"}));
  EXPECT_THAT(activation_type_names(), testing::Contains("int8"));
  EXPECT_THAT(activation_type_names(),
              testing::Not(testing::AnyOf(testing::Contains("binary"), testing::Contains("codebook"),
                                          testing::Contains("int32"))));
}

TEST(QuantTypeTest, FloatingPointTypesEndAtTheirLargestFiniteValue) {
  for (const QuantTypeRow& r : quant_types()) {
    if (!r.is_float || needs_decoder(r.type)) continue;
    const Tensor largest = Tensor::of<float>({2}, {static_cast<float>(r.qmin), static_cast<float>(r.qmax)});
    const QuantParams params{.type = r.type, .scales = {1}, .zero_points = {0}};
    EXPECT_THAT(dequantize(quantize(largest, params), params).data<float>(),
                testing::ElementsAre(static_cast<float>(r.qmin), static_cast<float>(r.qmax)))
        << r.name;
    const Tensor beyond = Tensor::of<float>({1}, {static_cast<float>(r.qmax) * 4});
    EXPECT_THAT(dequantize(quantize(beyond, params), params).data<float>(),
                testing::ElementsAre(static_cast<float>(r.qmax)))
        << r.name;
  }
}

TEST(QuantTypeTest, LimitsOfEachScheme) {
  const auto limits = [](QuantType type, bool symmetric, bool reduce) {
    const IntegerLimits l = integer_limits(type, {.symmetric = symmetric, .reduce_range = reduce});
    return fmt::format("[{}, {}]", l.qmin, l.qmax);
  };
  EXPECT_EQ(limits(QuantType::kInt8, false, false), "[-128, 127]");
  EXPECT_EQ(limits(QuantType::kInt8, true, false), "[-127, 127]");
  EXPECT_EQ(limits(QuantType::kInt8, false, true), "[-64, 63]");
  EXPECT_EQ(limits(QuantType::kUint8, false, true), "[0, 127]");
  EXPECT_EQ(limits(QuantType::kUint8, true, false), "[0, 255]");
}

TEST(QuantTypeTest, UnknownNamesComeWithASuggestion) {
  try {
    quant_type_from_name("unit8");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "unknown type 'unit8'; did you mean 'uint8'?");
  }
  try {
    calibration_method_from_name("entrpy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "unknown calibration method 'entrpy'; did you mean 'entropy'?");
  }
}

}  // namespace
}  // namespace narrow::quant
