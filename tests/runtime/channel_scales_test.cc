// Scales by channel around products: normalization and arithmetic behind them, activations with a scale for each group
// in front. NNCF leaves BatchNormalization where it was and gives depthwise convolutions a scale for each channel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kNormalized = R"(agraph (float[1,1,1,2] x) => (float[1,3,1,2] y)
<float sx = {0.5}, uint8 zx = {0}, int8[3,1,1,1] w_q = {2, -3, 7}, float[3] sw = {0.25, 0.5, 0.5},
 int8[3] zw = {0, 0, 0}, float[3] gamma = {2, -1, 0}, float[3] beta = {1, 0.5, -1}, float[3] mean = {0.5, -1, 9},
 float[3] variance = {3, 0, 8}, float sy = {0.5}, uint8 zy = {3}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear<axis = 0>(w_q, sw, zw)
  [conv] c = Conv(x_r, w)
  [norm] n = BatchNormalization<epsilon = 1.0>(c, gamma, beta, mean, variance)
  y_q = QuantizeLinear(n, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})";

// Channels are multiplied by 1, -1 and 0.
TEST(ChannelScales, NormalizationFoldsIntoTheProduct) {
  const LoweredModel lowered = lower(qdq_model(kNormalized));
  EXPECT_TRUE(coverage_of(lowered, "conv").integer);
  EXPECT_TRUE(coverage_of(lowered, "norm").integer);
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({1, 1, 1, 2}, {5, 2})}});
  // 5 * 0.5 - 0.5 + 1 = 3 -> 6 steps; 1.5 -> 3; -(-7.5 + 1) + 0.5 = 7 -> 14; 2.5 -> 5; -1 -> -2: each behind 3.
  EXPECT_THAT(integers(ran.values.at("y_q")), ElementsAre(9, 6, 17, 8, 1, 1));
}

TEST(ChannelScales, AndIntoThatOfTheOracle) {
  LoweredModel lowered = lower(qdq_model(kNormalized), {.check_kernels = true});
  test::run(lowered, {{"x", Tensor::of<float>({1, 1, 1, 2}, {5, 2})}});
  const auto checks = results_of(*lowered.checks);
  ASSERT_FALSE(checks.empty());
  for (const KernelCheck& check : checks) EXPECT_EQ(check.unequal, 0) << check.node;
}

// 2 * (a * w) - 1 with a column's own subtrahend, then Relu.
TEST(ChannelScales, ArithmeticFoldsIntoAMatrixProduct) {
  const LoweredModel lowered = lower(qdq_model(R"(agraph (float[1,2] x) => (float[1,2] y)
<float sx = {0.5}, uint8 zx = {0}, int8[2,2] w_q = {1, 2, 3, -4}, float sw = {0.5}, int8 zw = {0}, float two = {2},
 float[2] less = {1, 3}, float sy = {0.5}, uint8 zy = {0}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear(w_q, sw, zw)
  [product] p = MatMul(x_r, w)
  [twice] t = Mul(two, p)
  [minus] m = Sub(t, less)
  [clamp] r = Relu(m)
  y_q = QuantizeLinear(r, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})"));
  for (const char* node : {"product", "twice", "minus", "clamp"})
    EXPECT_TRUE(coverage_of(lowered, node).integer) << node;
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({1, 2}, {1, 2})}});
  // 2 * (0.5 + 3) - 1 = 6 -> 12; 2 * (1 - 4) - 3 < 0.
  EXPECT_THAT(integers(ran.values.at("y_q")), ElementsAre(12, 0));
}

std::string depthwise(const std::string& groups, const std::string& zero_points, const std::string& weights) {
  return R"(agraph (float[1,2,3,3] x) => (float[1,2,3,3] y)
<float[2] sx = {0.1, 0.5}, uint8[2] zx = {)" +
         zero_points + "}, int8" + weights + R"(, float[2] sw = {0.25, 0.0625}, int8[2] zw = {0, 0},
 float[2] bias = {1, -0.5}, float sy = {0.7}, uint8 zy = {100}>
{
  x_q = QuantizeLinear<axis = 1>(x, sx, zx)
  x_r = DequantizeLinear<axis = 1>(x_q, sx, zx)
  w = DequantizeLinear<axis = 0>(w_q, sw, zw)
  [conv] c = Conv<group = )" +
         groups + R"(, pads = [1, 1, 1, 1]>(x_r, w, bias)
  y_q = QuantizeLinear(c, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})";
}

constexpr const char* kOneEach = "[2,1,3,3] w_q = {11,-2,3,-4,50,-6,7,-8,9,1,-21,3,14,-5,60,-7,8,-19}";

TEST(ChannelScales, DepthwiseConvolutionReadsAScaleForEachChannel) {
  const graph::Model model = qdq_model(depthwise("2", "7, 7", kOneEach));
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "conv").integer);
  Tensor x(DataType::kFloat32, {1, 2, 3, 3});
  std::mt19937 random(1);
  for (float& value : x.mutable_data<float>()) value = static_cast<float>(random() % 997) / 50.0F;
  Workspace workspace;
  const std::vector<Tensor> expected = exec::compile_float(model).run({{"x", x}}, workspace);
  const auto ran = test::run(lowered, {{"x", x}});
  for (size_t i = 0; i < 18; ++i) EXPECT_EQ(ran.outputs[0].data<float>()[i], expected[0].data<float>()[i]) << i;
}

TEST(ChannelScales, OtherScalesForEachChannelHaveNoKernel) {
  const LoweredModel several = lower(qdq_model(depthwise("2", "7, 8", kOneEach)));
  EXPECT_FALSE(coverage_of(several, "conv").integer);
  EXPECT_THAT(coverage_of(several, "conv").reason->detail, HasSubstr("per-channel"));
  const LoweredModel dense = lower(qdq_model(
      depthwise("1", "7, 7",
                "[2,2,3,3] w_q = "
                "{-11,-4,3,10,-6,1,8,-8,-1,6,-10,-3,4,11,-5,2,9,-7,0,7,-9,-2,5,-11,-4,3,10,-6,1,8,-8,-1,6,-10,-3,4}")));
  EXPECT_FALSE(coverage_of(dense, "conv").integer);
}

TEST(ChannelScales, DropoutMovesIntegers) {
  const LoweredModel lowered = lower(qdq_model(R"(agraph (float[1,2] x) => (float[1,1] y)
<float sx = {0.5}, uint8 zx = {0}, int8[2,1] w_q = {1, 3}, float sw = {0.5}, int8 zw = {0}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_r = DequantizeLinear(x_q, sx, zx)
  [drop] d, mask = Dropout(x_r)
  w = DequantizeLinear(w_q, sw, zw)
  [product] y = MatMul(d, w)
})"));
  EXPECT_TRUE(coverage_of(lowered, "drop").integer);
  EXPECT_TRUE(coverage_of(lowered, "product").integer);
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({1, 2}, {1, 2})}});
  EXPECT_EQ(ran.outputs[0].data<float>()[0], 3.5F);
}

}  // namespace
}  // namespace narrow::runtime
