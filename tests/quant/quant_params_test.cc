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

TEST(ChooseWeightParamsTest, EachChannelItsOwnScaleAndDeadChannelsOne) {
  const Tensor w = Tensor::of<float>({3, 2}, {127, -63.5F, 0, 0, -254, 1});
  const QuantParams params = choose_weight_params(w, {.type = QuantType::kInt8, .symmetric = true}, {.axis = 0});
  EXPECT_THAT(params.scales, ElementsAre(1, 1, 2));
  EXPECT_THAT(params.zero_points, ElementsAre(0, 0, 0));
  const QuantParams whole = choose_weight_params(w, {.type = QuantType::kInt8, .symmetric = true}, {});
  EXPECT_THAT(whole.scales, ElementsAre(2));
}

}  // namespace
}  // namespace narrow::quant
