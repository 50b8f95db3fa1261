// QuantizeLinear and DequantizeLinear beyond int8 and uint8: expected values by their definitions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "lib/exec/kernels/cast.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;

std::vector<float> reals(const Tensor& tensor) {
  return values_of<float>(to_float32(tensor));
}

TEST(QuantizeTypes, PackedIntegersSaturateAtTheirLimits) {
  const Feed feed{{"x", floats({5}, {-9, -1, 0.5F, 1.5F, 99})}};
  const auto results = run_text(R"(g (float[5] x) => (int4[5] a, uint4[5] b, int2[5] c, uint2[5] d) <float s = {1}> {
        a = QuantizeLinear <output_dtype = 22> (x, s)
        b = QuantizeLinear <output_dtype = 21> (x, s)
        c = QuantizeLinear <output_dtype = 26> (x, s)
        d = QuantizeLinear <output_dtype = 25> (x, s)
      })",
                                feed, 25);
  EXPECT_THAT(reals(results[0]), ElementsAre(-8, -1, 0, 2, 7));
  EXPECT_THAT(reals(results[1]), ElementsAre(0, 0, 0, 2, 15));
  EXPECT_THAT(reals(results[2]), ElementsAre(-2, -1, 0, 1, 1));
  EXPECT_THAT(reals(results[3]), ElementsAre(0, 0, 0, 2, 3));
}

// Blocks of 2 along an axis of 3: the last is short. Scales [2, 2] for [2, 3], then [2, 2] for [3, 2] along axis 0.
TEST(QuantizeTypes, BlocksAlongEitherAxis) {
  const Feed feed{{"x", floats({2, 3}, {1, 2, 30, 400, 500, 6000})}, {"y", floats({3, 2}, {1, 20, 2, 40, 300, 6000})}};
  const auto results =
      run_text(R"(g (float[2,3] x, float[3,2] y) => (int8[2,3] a, int8[3,2] b, float[2,3] c, float[3,2] d)
      <float[2,2] s = {1, 10, 100, 1000}, int8[2,2] z = {0, 1, 2, 3}> {
        a = QuantizeLinear <axis = 1, block_size = 2> (x, s, z)
        b = QuantizeLinear <axis = 0, block_size = 2> (y, s, z)
        c = DequantizeLinear <axis = 1, block_size = 2> (a, s, z)
        d = DequantizeLinear <axis = 0, block_size = 2> (b, s, z)
      })",
               feed, 21);
  EXPECT_THAT(values_of<int8_t>(results[0]), ElementsAre(1, 2, 4, 6, 7, 9));
  EXPECT_THAT(values_of<int8_t>(results[1]), ElementsAre(1, 3, 2, 5, 5, 9));
  EXPECT_THAT(values_of<float>(results[2]), ElementsAre(1, 2, 30, 400, 500, 6000));
  EXPECT_THAT(values_of<float>(results[3]), ElementsAre(1, 20, 2, 40, 300, 6000));
}

TEST(QuantizeTypes, ScalesThatDoNotFitAreModelErrors) {
  const std::string text = R"(g (float[2,3] x) => (int8[2,3] y) <float[2,2] s = {1, 1, 1, 1}>
      { y = QuantizeLinear <axis = 1, block_size = 3, output_dtype = 3> (x, s) })";
  EXPECT_THROW(run_text(text, {{"x", floats({2, 3}, {0, 0, 0, 0, 0, 0})}}, 21), Error);
}

// 32.505 is above the middle of 32 and 33 in float32; float16, with steps of 1/32, has 32.5, which goes to the even 32.
TEST(QuantizeTypes, PrecisionIsThatOfTheScaleUnlessTold) {
  const Feed feed{{"x", floats({1}, {32.505F})}, {"s", floats({}, {1})}};
  const auto results = run_text(R"(g (float[1] x, float s) => (uint8[1] a, uint8[1] b, uint8[1] c) {
        half = Cast <to = 10> (s)
        a = QuantizeLinear (x, s)
        b = QuantizeLinear <precision = 10> (x, s)
        c = QuantizeLinear (x, half)
      })",
                                feed, 23);
  EXPECT_THAT(values_of<uint8_t>(results[0]), ElementsAre(33));
  EXPECT_THAT(values_of<uint8_t>(results[1]), ElementsAre(32));
  EXPECT_THAT(values_of<uint8_t>(results[2]), ElementsAre(32));
}

TEST(QuantizeTypes, SmallFloats) {
  const Feed feed{{"x", floats({4}, {1, -3, 2000, 0.3F})}};
  const auto results = run_text(R"(g (float[4] x)
      => (float8e4m3fn[4] a, float8e4m3fn[4] b, float4e2m1[4] c, float[4] d, float16[4] e) <float s = {2}> {
        a = QuantizeLinear <output_dtype = 17> (x, s)
        b = QuantizeLinear <output_dtype = 17, saturate = 0> (x, s)
        c = QuantizeLinear <output_dtype = 23> (x, s)
        d = DequantizeLinear (a, s)
        e = DequantizeLinear <output_dtype = 10> (c, s)
      })",
                                feed, 23);
  EXPECT_THAT(reals(results[0]), ElementsAre(0.5F, -1.5F, 448, 0.15625F));
  EXPECT_TRUE(std::isnan(reals(results[1])[2]));
  EXPECT_THAT(reals(results[2]), ElementsAre(0.5F, -1.5F, 6, 0));
  EXPECT_THAT(reals(results[3]), ElementsAre(1, -3, 896, 0.3125F));
  EXPECT_EQ(results[4].type(), DataType::kFloat16);
  EXPECT_THAT(reals(results[4]), ElementsAre(1, -3, 12, 0));
}

TEST(QuantizeTypes, PowerOfTwoScales) {
  const Feed feed{{"x", floats({2}, {3, 5})}};
  const auto results = run_text(R"(g (float[2] x) => (int8[2] q, float[2] y) <float s32 = {0.5}, int8 z = {1}> {
        s = Cast <to = 24> (s32)
        q = QuantizeLinear (x, s, z)
        y = DequantizeLinear <output_dtype = 1> (q, s, z)
      })",
                                feed, 24);
  EXPECT_THAT(values_of<int8_t>(results[0]), ElementsAre(7, 11));
  EXPECT_THAT(values_of<float>(results[1]), ElementsAre(3, 5));
}

TEST(QuantizeTypes, ManyElementsOfOneScale) {
  const Tensor x = pseudo_random({70001}, 3);
  const auto results =
      run_text("g (float[N] x) => (int16[N] y) <float s = {0.0001}, int16 z = {5}> { y = QuantizeLinear(x, s, z) }",
               {{"x", x}}, 21);
  for (size_t i = 0; i < 70001; ++i) {
    const float expected = std::nearbyint(x.data<float>()[i] / 0.0001F) + 5;
    ASSERT_EQ(results[0].data<int16_t>()[i], static_cast<int16_t>(expected)) << i;
  }
}

}  // namespace
}  // namespace narrow::exec
