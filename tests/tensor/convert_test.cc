#include "lib/tensor/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "lib/base/error.h"

namespace narrow {
namespace {

Tensor convert(const Tensor& tensor, DataType type, const ConvertOptions& options = {}) {
  Workspace workspace;
  return convert_elements(tensor, type, workspace, options);
}

template <class T>
std::vector<T> values(const Tensor& tensor) {
  const auto data = tensor.data<T>();
  return {data.begin(), data.end()};
}

std::vector<int> raw(const Tensor& tensor) {
  std::vector<int> result;
  for (size_t i = 0; i < tensor.byte_size(); ++i) result.push_back(static_cast<int>(tensor.bytes()[i]));
  return result;
}

TEST(Convert, IntegersKeepTheirLowBits) {
  const Tensor x = Tensor::of<int16_t>({4}, {200, -1, 256, 17});
  EXPECT_EQ(values<int8_t>(convert(x, DataType::kInt8)), (std::vector<int8_t>{-56, -1, 0, 17}));
  EXPECT_EQ(values<uint32_t>(convert(x, DataType::kUint32)), (std::vector<uint32_t>{200, 0xFFFFFFFF, 256, 17}));
  EXPECT_EQ(raw(convert(x, DataType::kUint4)), (std::vector<int>{0xF8, 0x10}));
  EXPECT_EQ(raw(convert(x, DataType::kInt2)), (std::vector<int>{0b01001100}));
}

TEST(Convert, FloatsTruncateAndSaturate) {
  const Tensor x = Tensor::of<float>({8}, {2.9F, -2.9F, 300.0F, -300.0F, NAN, INFINITY, -INFINITY, 0.5F});
  EXPECT_EQ(values<int8_t>(convert(x, DataType::kInt8)), (std::vector<int8_t>{2, -2, 127, -128, 0, 127, -128, 0}));
  EXPECT_EQ(values<uint8_t>(convert(x, DataType::kUint8)), (std::vector<uint8_t>{2, 0, 255, 0, 0, 255, 0, 0}));
  EXPECT_EQ(values<int64_t>(convert(x, DataType::kInt64)),
            (std::vector<int64_t>{2, -2, 300, -300, 0, std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::lowest(), 0}));
  // 2, -2, 7, -8, 0, 7, -8, 0
  EXPECT_EQ(raw(convert(x, DataType::kInt4)), (std::vector<int>{0xE2, 0x87, 0x70, 0x08}));
  EXPECT_EQ(values<bool>(convert(x, DataType::kBool)),
            (std::vector<bool>{true, true, true, true, true, true, true, true}));
}

TEST(Convert, WideNumbersAreRoundedOnce) {
  const Tensor x = Tensor::of<double>({2}, {1.0 + 0x1p-11 + 0x1p-40, 70000.0});
  EXPECT_EQ(values<float>(to_float32(convert(x, DataType::kFloat16))), (std::vector<float>{1 + 0x1p-10F, INFINITY}));
  const Tensor large = Tensor::of<int64_t>({1}, {(int64_t{1} << 62) + (int64_t{1} << 54) + 1});
  EXPECT_EQ(values<float>(to_float32(convert(large, DataType::kBfloat16)))[0], 0x1.02p62F);
}

TEST(Convert, SaturationOfEightBitFloatsIsAnOption) {
  const Tensor x = Tensor::of<float>({3}, {1e6F, -1e6F, -0.0F});
  EXPECT_EQ(raw(convert(x, DataType::kFloat8e4m3fn)), (std::vector<int>{0x7E, 0xFE, 0x80}));
  EXPECT_EQ(raw(convert(x, DataType::kFloat8e4m3fn, {.overflow = Overflow::kSpecial})),
            (std::vector<int>{0x7F, 0xFF, 0x80}));
  EXPECT_EQ(raw(convert(x, DataType::kFloat8e5m2, {.overflow = Overflow::kSpecial})),
            (std::vector<int>{0x7C, 0xFC, 0x80}));
  EXPECT_EQ(raw(convert(x, DataType::kFloat8e5m2fnuz, {.overflow = Overflow::kSpecial})),
            (std::vector<int>{0x80, 0x80, 0x00}));
  // float4e2m1 and 16-bit floats know no such choice.
  EXPECT_EQ(raw(convert(x, DataType::kFloat4e2m1, {.overflow = Overflow::kSpecial})), (std::vector<int>{0xF7, 0x08}));
  EXPECT_EQ(raw(convert(x, DataType::kFloat16)), (std::vector<int>{0x00, 0x7C, 0x00, 0xFC, 0x00, 0x80}));
}

TEST(Convert, EveryNumericPairKeepsSmallIntegers) {
  const Tensor x = Tensor::of<int32_t>({3}, {0, 1, 1});
  for (int from = 1; from <= static_cast<int>(DataType::kInt2); ++from) {
    for (int to = 1; to <= static_cast<int>(DataType::kInt2); ++to) {
      const auto source = static_cast<DataType>(from);
      const auto target = static_cast<DataType>(to);
      const auto none = [](DataType type) {
        return type == DataType::kString || type == DataType::kComplex64 || type == DataType::kComplex128;
      };
      if (none(source) || none(target)) continue;
      const Tensor back = convert(convert(convert(x, source), target), DataType::kFloat32);
      // float8e8m0 has no zero: 2^-127 is its nearest.
      const bool scale = source == DataType::kFloat8e8m0 || target == DataType::kFloat8e8m0;
      EXPECT_EQ(values<float>(back)[1], 1.0F) << data_type_name(source) << " to " << data_type_name(target);
      EXPECT_EQ(values<float>(back)[2], 1.0F) << data_type_name(source) << " to " << data_type_name(target);
      if (!scale) {
        EXPECT_EQ(values<float>(back)[0], 0.0F) << data_type_name(source) << " to " << data_type_name(target);
      }
    }
  }
  EXPECT_THROW(convert(x, DataType::kComplex64), Error);
  EXPECT_THROW(convert(Tensor::of_strings({1}, {"1"}), DataType::kFloat32), Error);
}

TEST(Convert, BulkAgreesWithSingleElements) {
  std::vector<float> reals;
  for (int i = 0; i < 70001; ++i)
    reals.push_back(std::ldexp(static_cast<float>(i * 7919 % 65537) - 32768.0F, i % 40 - 30));
  const Tensor x = Tensor::of<float>({static_cast<int64_t>(reals.size())}, reals);
  const Tensor half = convert(x, DataType::kFloat16);
  const Tensor brain = convert(x, DataType::kBfloat16);
  const auto* halves = reinterpret_cast<const uint16_t*>(half.bytes());
  const auto* brains = reinterpret_cast<const uint16_t*>(brain.bytes());
  for (size_t i = 0; i < reals.size(); ++i) {
    ASSERT_EQ(halves[i], encode_float<kSmallFloat<DataType::kFloat16>>(reals[i], Overflow::kSpecial)) << reals[i];
    ASSERT_EQ(brains[i], encode_float<kSmallFloat<DataType::kBfloat16>>(reals[i], Overflow::kSpecial)) << reals[i];
  }
}

}  // namespace
}  // namespace narrow
