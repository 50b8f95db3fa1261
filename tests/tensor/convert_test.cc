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

// The numbers of onnxruntime and numpy on x86 (but for 1e10 to uint32, where theirs depend on the vector width).
TEST(Convert, FloatsTruncateAndKeepTheLowBitsOfTheInteger) {
  const Tensor x = Tensor::of<float>({9}, {300, -1, -129.5F, 70000, 3e9F, 1e10F, NAN, INFINITY, -INFINITY});
  EXPECT_EQ(values<int8_t>(convert(x, DataType::kInt8)), (std::vector<int8_t>{44, -1, 127, 112, 0, 0, 0, 0, 0}));
  EXPECT_EQ(values<uint8_t>(convert(x, DataType::kUint8)), (std::vector<uint8_t>{44, 255, 127, 112, 0, 0, 0, 0, 0}));
  EXPECT_EQ(values<uint16_t>(convert(x, DataType::kUint16)),
            (std::vector<uint16_t>{300, 65535, 65407, 4464, 0, 0, 0, 0, 0}));
  constexpr int32_t kLow = std::numeric_limits<int32_t>::lowest();
  EXPECT_EQ(values<int32_t>(convert(x, DataType::kInt32)),
            (std::vector<int32_t>{300, -1, -129, 70000, kLow, kLow, kLow, kLow, kLow}));
  EXPECT_EQ(values<uint32_t>(convert(x, DataType::kUint32)),
            (std::vector<uint32_t>{300, 4294967295, 4294967167, 70000, 3000000000, 1410065408, 0, 0, 0}));
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::lowest();
  EXPECT_EQ(values<int64_t>(convert(x, DataType::kInt64)),
            (std::vector<int64_t>{300, -1, -129, 70000, 3000000000, 10000000000, kLowest, kLowest, kLowest}));
  const Tensor edge = Tensor::of<double>({4}, {-2147483648.5, 2147483647.5, 0x1p63, 0x1p64});
  EXPECT_EQ(values<int32_t>(convert(edge, DataType::kInt32)), (std::vector<int32_t>{kLow, 2147483647, kLow, kLow}));
  EXPECT_EQ(values<uint64_t>(convert(edge, DataType::kUint64))[2], uint64_t{1} << 63);
  EXPECT_EQ(values<uint64_t>(convert(edge, DataType::kUint64))[3], 0U);
  // ONNX's node tests: -9 becomes 7 in int4, 8 becomes -8; 2 becomes -2 in int2.
  const Tensor small = Tensor::of<float>({4}, {-9, 8, 2.9F, -2.9F});
  EXPECT_EQ(raw(convert(small, DataType::kInt4)), (std::vector<int>{0x87, 0xE2}));
  EXPECT_EQ(raw(convert(small, DataType::kInt2)), (std::vector<int>{0b10100011}));
  EXPECT_EQ(values<bool>(convert(x, DataType::kBool)), std::vector<bool>(9, true));
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
