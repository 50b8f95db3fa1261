#include "lib/quant/quant_params.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace narrow::quant {
namespace {

using testing::ElementsAre;

std::vector<int> ints(const Tensor& tensor) {
  std::vector<int> values;
  for (size_t i = 0; i < static_cast<size_t>(tensor.size()); ++i) {
    values.push_back(tensor.type() == DataType::kInt8 ? tensor.data<int8_t>()[i] : tensor.data<uint8_t>()[i]);
  }
  return values;
}

TEST(ChooseParamsTest, AffineRangeOfAPowerOfTwo) {
  // 255 steps of 1/64 from -1: scale 1/64, zero at step 64.
  const ScaleZeroPoint p = choose_params({-1, 191.0F / 64}, {.type = QuantType::kUint8});
  EXPECT_EQ(p.scale, 1.0F / 64);
  EXPECT_EQ(p.zero_point, 64);
}

TEST(ChooseParamsTest, ZeroIsAlwaysInside) {
  const ScaleZeroPoint above = choose_params({2, 255}, {.type = QuantType::kUint8});
  EXPECT_EQ(above.scale, 1);
  EXPECT_EQ(above.zero_point, 0);
  const ScaleZeroPoint below = choose_params({-255, -2}, {.type = QuantType::kUint8});
  EXPECT_EQ(below.zero_point, 255);
}

TEST(ChooseParamsTest, SymmetricTypes) {
  const ScaleZeroPoint s8 = choose_params({-1, 127}, {.type = QuantType::kInt8, .symmetric = true});
  EXPECT_EQ(s8.scale, 1);
  EXPECT_EQ(s8.zero_point, 0);
  const ScaleZeroPoint u8 = choose_params({-127, 1}, {.type = QuantType::kUint8, .symmetric = true});
  EXPECT_EQ(u8.scale, 1);
  EXPECT_EQ(u8.zero_point, 128);
}

TEST(ChooseParamsTest, ZeroPointRoundsHalfToEven) {
  // scale 1: qmin - rmin is 0.5 and 1.5.
  EXPECT_EQ(choose_params({-0.5F, 254.5F}, {.type = QuantType::kUint8}).zero_point, 0);
  EXPECT_EQ(choose_params({-1.5F, 253.5F}, {.type = QuantType::kUint8}).zero_point, 2);
}

TEST(ChooseParamsTest, DegenerateRangesGiveScaleOne) {
  for (const Range range : {Range{0, 0}, Range{0, 1e-40F}, Range{-1e-42F, 1e-42F}}) {
    const ScaleZeroPoint p = choose_params(range, {.type = QuantType::kUint8});
    EXPECT_EQ(p.scale, 1);
    EXPECT_EQ(p.zero_point, 0);
  }
  EXPECT_EQ(choose_params({0, 0}, {.type = QuantType::kUint8, .symmetric = true}).zero_point, 128);
  EXPECT_EQ(choose_params({0, 0}, {.type = QuantType::kInt8}).zero_point, -128);
}

TEST(ChooseParamsTest, TheWidestRangeDoesNotOverflow) {
  const float big = std::numeric_limits<float>::max();
  const ScaleZeroPoint p = choose_params({-big, big}, {.type = QuantType::kUint8});
  EXPECT_TRUE(std::isfinite(p.scale));
  EXPECT_EQ(p.zero_point, 128);
}

TEST(QuantizeTest, HalvesGoToEvenAndEndsSaturate) {
  const QuantParams params{.type = QuantType::kInt8, .scales = {0.5F}, .zero_points = {1}};
  const Tensor x = Tensor::of<float>({7}, {0.25F, 0.75F, -0.25F, -0.75F, 100, -100, 1});
  EXPECT_THAT(ints(quantize(x, params)), ElementsAre(1, 3, 1, -1, 127, -128, 3));
}

TEST(QuantizeTest, NotANumberAndInfinityHaveAStatedResult) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const QuantParams params{.type = QuantType::kUint8, .scales = {1}, .zero_points = {7}};
  EXPECT_THAT(ints(quantize(Tensor::of<float>({3}, {nan, inf, -inf}), params)), ElementsAre(7, 255, 0));
}

TEST(QuantizeTest, PerChannelOnAMiddleAxisAndBack) {
  const QuantParams params{.type = QuantType::kInt8, .axis = 1, .scales = {1, 2}, .zero_points = {0, 10}};
  const Tensor x = Tensor::of<float>({2, 2, 2}, {1, 2, 4, 6, -1, -2, -4, -6});
  const Tensor q = quantize(x, params);
  EXPECT_THAT(ints(q), ElementsAre(1, 2, 12, 13, -1, -2, 8, 7));
  EXPECT_THAT(dequantize(q, params).data<float>(), ElementsAre(1, 2, 4, 6, -1, -2, -4, -6));
}

TEST(QuantizeTest, BlocksAlongTheSummedAxisOfAProduct) {
  // [5 rows, 2 columns], blocks of 2 rows: rows 0-1, 2-3 and the short 4; a scale for each block and column.
  const QuantParams params{.type = QuantType::kInt4,
                           .axis = 0,
                           .block = 2,
                           .scales = {1, 2, 4, 8, 16, 32},
                           .zero_points = {0, 0, 0, 0, 0, 1}};
  const Tensor x = Tensor::of<float>({5, 2}, {1, 4, -3, 16, 8, 8, -100, 0, 16, 32});
  const Tensor q = quantize(x, params);
  EXPECT_EQ(q.type(), DataType::kInt4);
  // Codes 1 2 | -3 7 | 2 1 | -8 0 | 1 2, the first of each pair in the low bits.
  EXPECT_EQ(q.byte_size(), 5U);
  const auto* bytes = reinterpret_cast<const uint8_t*>(q.bytes());
  EXPECT_THAT(std::vector<int>(bytes, bytes + 5), ElementsAre(0x21, 0x7D, 0x12, 0x08, 0x21));
  EXPECT_THAT(dequantize(q, params).data<float>(), ElementsAre(1, 4, -3, 14, 8, 8, -32, 0, 16, 32));
  EXPECT_EQ(scale_shape(x.shape(), params.grouping()), (Shape{3, 2}));
}

TEST(QuantizeTest, BlocksAlongTheLastAxis) {
  const QuantParams params{
      .type = QuantType::kUint2, .axis = 1, .block = 2, .scales = {1, 10, 2, 20}, .zero_points = {1, 0, 1, 3}};
  const Tensor x = Tensor::of<float>({2, 3}, {-1, 2, 20, 2, -2, -60});
  const Tensor q = quantize(x, params);
  // Codes 0 3 2 2 | 0 0
  const auto* bytes = reinterpret_cast<const uint8_t*>(q.bytes());
  EXPECT_THAT(std::vector<int>(bytes, bytes + q.byte_size()), ElementsAre(0b10101100, 0b00000000));
  EXPECT_THAT(dequantize(q, params).data<float>(), ElementsAre(-1, 2, 20, 2, -2, -60));
}

TEST(QuantizeTest, LargeTensorsOfPackedTypesComeBackChunkByChunk) {
  const QuantParams params{.type = QuantType::kInt2, .scales = {1}, .zero_points = {0}};
  Tensor x(DataType::kFloat32, {3, 20001});
  const auto values = x.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7 % 4) - 2;
  const Tensor back = dequantize(quantize(x, params), params);
  EXPECT_TRUE(std::equal(values.begin(), values.end(), back.data<float>().begin()));
}

TEST(QuantizeTest, SmallFloatsRoundToTheNearestCode) {
  const QuantParams params{.type = QuantType::kFloat4e2m1, .axis = 0, .scales = {1, 0.5F}, .zero_points = {0, 0}};
  const Tensor x = Tensor::of<float>({2, 3}, {2.4F, -5.5F, 0.2F, 1.2F, 9, -0.13F});
  // Values of float4e2m1: 0 0.5 1 1.5 2 3 4 6.
  EXPECT_THAT(dequantize(quantize(x, params), params).data<float>(), ElementsAre(2, -6, 0, 1, 3, -0.25F));
}

TEST(ChooseParamsTest, FloatingPointTypesAreSymmetricWhateverIsAsked) {
  const ScaleZeroPoint p = choose_params({-1, 896}, {.type = QuantType::kFloat8e4m3fn});
  EXPECT_EQ(p.scale, 2);
  EXPECT_EQ(p.zero_point, 0);
}

TEST(ChooseWeightParamsTest, EachChannelItsOwnScaleAndDeadChannelsOne) {
  const Tensor w = Tensor::of<float>({3, 2}, {127, -63.5F, 0, 0, -254, 1});
  const QuantParams params = choose_weight_params(w, {.type = QuantType::kInt8, .symmetric = true}, {.axis = 0});
  EXPECT_THAT(params.scales, ElementsAre(1, 1, 2));
  EXPECT_THAT(params.zero_points, ElementsAre(0, 0, 0));
  const QuantParams whole = choose_weight_params(w, {.type = QuantType::kInt8, .symmetric = true}, {});
  EXPECT_THAT(whole.scales, ElementsAre(2));
}

TEST(ChooseWeightParamsTest, LeastSquaredErrorClipsAnOutlierOfManyValues) {
  // uint2 around 2: codes -2..1. Values +-1 a hundred times and one of 2: with the extremes' scale 2 every 1 becomes 0
  // (halves go to even), an error of 100; clipping to scale 1 leaves an error of 1.
  Tensor w(DataType::kFloat32, {1, 101});
  const auto values = w.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = i % 2 == 0 ? 1.0F : -1.0F;
  values[7] = 2;
  const Scheme extremes{.type = QuantType::kUint2, .symmetric = true};
  Scheme fitted = extremes;
  fitted.fit = WeightFit::kSquaredError;
  EXPECT_THAT(choose_weight_params(w, extremes, {.axis = 0}).scales, ElementsAre(2));
  const QuantParams params = choose_weight_params(w, fitted, {.axis = 0});
  EXPECT_NEAR(params.scales[0], 1, 0.041);  // fractions are 0.04 apart
  EXPECT_THAT(params.zero_points, ElementsAre(2));
}

TEST(ChooseWeightParamsTest, LeastSquaredErrorIsFoundForEachBlock) {
  // [2 columns, 64 rows] the other way round: blocks of 32 rows, columns side by side, so that groups interleave.
  Tensor w(DataType::kFloat32, {64, 2});
  const auto values = w.mutable_data<float>();
  for (size_t row = 0; row < 64; ++row) {
    values[2 * row] = row == 3 ? 14.0F : row % 2 == 0 ? 1.0F : -1.0F;  // first block: an outlier
    values[2 * row + 1] = static_cast<float>(row % 8);                 // exact at scale 1
  }
  const Scheme scheme{.type = QuantType::kInt4, .symmetric = true, .fit = WeightFit::kSquaredError};
  const QuantParams params = choose_weight_params(w, scheme, {.axis = 0, .block = 32});
  ASSERT_EQ(params.scales.size(), 4U);
  EXPECT_LT(params.scales[0], 2);  // 14 / 7 would round every 1 to 0
  EXPECT_EQ(params.scales[1], 1);
  EXPECT_FLOAT_EQ(params.scales[2], 1.0F / 7);
  EXPECT_EQ(params.scales[3], 1);
}

}  // namespace
}  // namespace narrow::quant
