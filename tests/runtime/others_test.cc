// Models quantized in other forms than QDQ: QLinear operators, dynamic quantization, weights with zero points. The
// expected results come from lib/exec, which computes these operators one by one by their definitions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "lib/exec/float_program.h"
#include "lib/io/load.h"
#include "lib/runtime/lower.h"
#include "lib/runtime/qoperator.h"
#include "tests/runtime/qdq_text.h"
#include "tests/support/model_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using testing::ElementsAre;

Tensor random_bytes(const Shape& shape, int seed) {
  Tensor tensor(DataType::kUint8, shape);
  std::mt19937 generator(static_cast<unsigned>(seed));
  for (uint8_t& value : tensor.mutable_data<uint8_t>()) value = static_cast<uint8_t>(generator());
  return tensor;
}

Tensor random_floats(const Shape& shape, int seed) {
  Tensor tensor(DataType::kFloat32, shape);
  std::mt19937 generator(static_cast<unsigned>(seed));
  for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(generator() % 4001) / 1000.0F - 1.5F;
  return tensor;
}

std::vector<Tensor> by_definition(const graph::Model& model, const exec::Feed& feed) {
  Workspace workspace;
  return exec::compile_float(model).run(feed, workspace);
}

void expect_near_steps(const Tensor& actual, const Tensor& expected, int steps) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const std::vector<int> left = integers(to_layout(actual, Layout::kPlain));
  const std::vector<int> right = integers(to_layout(expected, Layout::kPlain));
  for (size_t i = 0; i < left.size(); ++i) EXPECT_NEAR(left[i], right[i], steps) << "element " << i;
}

void expect_close(const Tensor& actual, const Tensor& expected) {
  ASSERT_EQ(actual.shape(), expected.shape());
  const Tensor left = to_layout(actual, Layout::kPlain);
  const Tensor right = to_layout(expected, Layout::kPlain);
  for (size_t i = 0; i < left.data<float>().size(); ++i) {
    EXPECT_NEAR(left.data<float>()[i], right.data<float>()[i], 1e-5F * (1 + std::abs(right.data<float>()[i])));
  }
}

// The convolution of lower_test.cc, by hand: sums 16 and -10 over 8, plus 1.
TEST(QOperators, ConvolutionByHand) {
  const graph::Model model = qdq_model(R"(agraph (uint8[1,1,2,3] x_q) => (uint8[1,1,1,2] y_quantized)
<float sx = {0.5}, uint8 zx = {1}, float sw = {0.25}, int8 zw = {0}, float sy = {0.5}, uint8 zy = {10},
 int8[1,1,2,2] w_q = {1, 2, -3, 4}, int32[1] b_q = {8}>
{
  [conv] y_quantized = QLinearConv(x_q, sx, zx, w_q, sw, zw, sy, zy, b_q)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "conv").integer);
  EXPECT_EQ(coverage_of(lowered, "conv").macs, 8);
  EXPECT_EQ(lowered.quantized.at("y_quantized").real, "y");
  const auto ran = test::run(lowered, {{"x_q", Tensor::of<uint8_t>({1, 1, 2, 3}, {1, 2, 3, 3, 6, 1})}});
  // (16 + 8) / 8 = 3 -> 16; (-10 + 8) / 8 = -.25 -> -.5 steps -> half to even 0 -> 10.
  EXPECT_THAT(integers(ran.outputs[0]), ElementsAre(16, 10));
}

// Readers with a pair each, whose integers are outputs too: neither may go, and the product ends in integers.
TEST(QOperators, IntegersOfOneProductHaveTwoNames) {
  const LoweredModel lowered = lower(qdq_model(R"(agraph (float[1,2] x) => (uint8[1,1] first, uint8[1,1] second)
<float s = {0.5}, uint8 z = {3}, int8[2,1] w_q = {1, 3}, float sw = {0.5}, int8 zw = {0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_r = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [product] y = MatMul(x_r, w)
  first = QuantizeLinear(y, s, z)
  second = QuantizeLinear(y, s, z)
})"));
  EXPECT_TRUE(coverage_of(lowered, "product").integer);
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({1, 2}, {1, 2})}});
  EXPECT_THAT(integers(ran.outputs[0]), ElementsAre(10));  // 3.5 is 7 steps
  EXPECT_THAT(integers(ran.outputs[1]), ElementsAre(10));
}

struct Case {
  const char* name;
  const char* graph;
  int steps;  // how far results may lie apart: products round once, definitions of com.microsoft more often
};

class QOperatorForms : public testing::TestWithParam<Case> {};

TEST_P(QOperatorForms, EqualTheirDefinition) {
  const graph::Model model = qdq_model(GetParam().graph);
  exec::Feed feed;
  for (const auto& input : model.graph().input()) {
    Shape shape;
    for (const auto& dimension : input.type().tensor_type().shape().dim()) shape.push_back(dimension.dim_value());
    feed[input.name()] = random_bytes(shape, static_cast<int>(feed.size()) + 1);
  }
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "op").integer);
  expect_near_steps(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0], GetParam().steps);
}

INSTANTIATE_TEST_SUITE_P(
    Lower, QOperatorForms,
    testing::Values(Case{"grouped_convolution", R"(agraph (uint8[2,4,5,5] x) => (uint8[2,4,3,3] y)
<float sx = {0.02}, uint8 zx = {120}, float[4] sw = {0.5, 0.25, 0.1, 0.3}, int8[4] zw = {0, 0, 0, 0}, float sy = {1.0},
 uint8 zy = {100}, int8[4,2,3,3] w = {1,-2,3,-4,5,-6,7,-8,9,1,-2,3,-4,5,-6,7,-8,9,11,-12,13,-14,15,-16,17,-18,19,21,-22,
 23,-24,25,-26,27,-28,29,31,-32,33,-34,35,-36,37,-38,39,1,-2,3,-4,5,-6,7,-8,9,1,-2,3,-4,5,-6,7,-8,9,-1,2,-3,4,-5,6,-7,
 8,-9}, int32[4] b = {100, -200, 300, 0}>
{ [op] y = QLinearConv<group = 2, pads = [1, 1, 1, 1], strides = [2, 2]>(x, sx, zx, w, sw, zw, sy, zy, b) })",
                         0},
                    Case{"convolution_with_weight_zero_points", R"(agraph (uint8[1,2,4,4] x) => (uint8[1,2,4,4] y)
<float sx = {0.02}, uint8 zx = {7}, float[2] sw = {0.5, 0.25}, uint8[2] zw = {3, 250}, float sy = {2.0}, uint8 zy = {128},
 uint8[2,1,3,3] w = {255,0,128,7,3,200,90,250,1,255,0,128,7,3,200,90,250,1}>
{ [op] y = QLinearConv<group = 2, pads = [1, 1, 1, 1]>(x, sx, zx, w, sw, zw, sy, zy) })",
                         0},
                    Case{"matmul", R"(agraph (uint8[3,4] a) => (uint8[3,2] y)
<float sa = {0.02}, uint8 za = {120}, float[2] sb = {0.5, 0.25}, int8[2] zb = {0, 0}, float sy = {0.5}, uint8 zy = {100},
 int8[4,2] b = {1, -2, 30, -40, 5, 60, -7, 8}>
{ [op] y = QLinearMatMul(a, sa, za, b, sb, zb, sy, zy) })",
                         0},
                    Case{"matmul_with_weight_zero_points", R"(agraph (uint8[3,4] a) => (uint8[3,2] y)
<float sa = {0.02}, uint8 za = {120}, float[2] sb = {0.5, 0.25}, uint8[2] zb = {7, 200}, float sy = {1.0},
 uint8 zy = {100}, uint8[4,2] b = {1, 255, 30, 0, 255, 60, 7, 8}>
{ [op] y = QLinearMatMul(a, sa, za, b, sb, zb, sy, zy) })",
                         0}),
    [](const auto& tested) { return tested.param.name; });

// onnxruntime's operators.
graph::Model microsoft_model(const std::string& graph) {
  graph::Model model =
      narrow::test::model_from_text("<ir_version: 8, opset_import: [\"\": 17, \"com.microsoft\": 1]>\n" + graph);
  io::infer_shapes(model);
  return model;
}

// (5 - 3) / 2 = 1 and (9 - 3) / 2 = 3 meet columns (1, 3) / 4 and (-4 - 1, 2 - 1) / 2, the second one's zero point
// being 1.
TEST(QOperators, ProductToFloat) {
  const LoweredModel lowered = lower(microsoft_model(R"(agraph (uint8[1,2] a) => (float[1,2] y)
<float sa = {0.5}, uint8 za = {3}, float[2] sb = {0.25, 0.5}, int8[2] zb = {0, 1}, int8[2,2] b = {1, -4, 3, 2},
 float[2] bias = {10, 20}>
{ [op] y = com.microsoft.MatMulIntegerToFloat(a, b, sa, sb, za, zb, bias) })"));
  EXPECT_TRUE(coverage_of(lowered, "op").integer);
  const auto ran = test::run(lowered, {{"a", Tensor::of<uint8_t>({1, 2}, {5, 9})}});
  EXPECT_THAT(to_layout(ran.outputs[0], Layout::kPlain).data<float>(), ElementsAre(12.5F, 19.0F));
}

TEST(QOperators, GemmSumAndFunctionOfOnnxruntime) {
  const graph::Model model = microsoft_model(R"(agraph (uint8[2,4] a, uint8[2,3] c) => (uint8[2,3] y)
<float sa = {0.02}, uint8 za = {120}, float[3] sb = {0.5, 0.25, 0.125}, int8[3] zb = {0, 0, 0}, float sp = {0.25},
 uint8 zp = {100}, float sc = {0.5}, uint8 zc = {3}, float sy = {0.5}, uint8 zy = {60},
 int8[3,4] b = {1, -2, 30, -40, 5, 60, -7, 8, 9, 10, 11, 12}, int32[3] bias = {100, -50, 7}>
{
  [product] p = com.microsoft.QGemm<transB = 1, alpha = 0.5>(a, sa, za, b, sb, zb, bias, sp, zp)
  [sum] s = com.microsoft.QLinearAdd(p, sp, zp, c, sc, zc, sy, zy)
  [function] y = com.microsoft.QLinearSigmoid(s, sy, zy, sy, zy)
})");
  const LoweredModel lowered = lower(model);
  for (const char* node : {"product", "sum", "function"}) EXPECT_TRUE(coverage_of(lowered, node).integer) << node;
  const exec::Feed feed{{"a", random_bytes({2, 4}, 1)}, {"c", random_bytes({2, 3}, 2)}};
  expect_near_steps(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0], 1);
}

TEST(QOperators, RunTimeScalesStayWithTheirOperator) {
  const graph::Model model = qdq_model(R"(agraph (uint8[3,2] a, float s) => (uint8[3,2] y)
<uint8 z = {0}, float one = {1.0}, int8 zb = {0}, int8[2,2] b = {1, 2, 3, 4}>
{ [op] y = QLinearMatMul(a, s, z, b, one, zb, one, z) })");
  EXPECT_EQ(qoperators_to_qdq(model)->graph().node(0).op_type(), "QLinearMatMul");
  const exec::Feed feed{{"a", random_bytes({3, 2}, 1)}, {"s", Tensor::scalar(0.25F)}};
  expect_near_steps(test::run(lower(model), feed).outputs[0], by_definition(model, feed)[0], 0);
}

constexpr const char* kDynamicMatmul = R"(agraph (float[2,3,4] x) => (float[2,3,2] y)
<float[2] sw = {0.5, 0.25}, uint8[2] zw = {7, 200}, uint8[4,2] w = {1, 255, 30, 0, 255, 60, 7, 8}, float[2] b = {1.0, -2.0}>
{
  x_q, x_s, x_z = DynamicQuantizeLinear(x)
  [op] sums = MatMulInteger(x_q, w, x_z, zw)
  real = Cast<to = 1>(sums)
  [scales] s = Mul(x_s, sw)
  scaled = Mul(real, s)
  added = Add(scaled, b)
  [relu] y = Relu(added)
})";

TEST(Dynamic, MatmulScaleBiasAndReluAreOneStep) {
  const graph::Model model = qdq_model(kDynamicMatmul);
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "op").integer);
  EXPECT_TRUE(coverage_of(lowered, "relu").integer);
  EXPECT_EQ(lowered.program.steps().size(), 3U);  // quantize, scales, product
  const exec::Feed feed{{"x", random_floats({2, 3, 4}, 3)}};
  expect_close(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0]);
}

TEST(Dynamic, ConvolutionPadsWithRealZeros) {
  const graph::Model model = qdq_model(R"(agraph (float[2,2,4,4] x) => (float[2,4,4,4] y)
<float sw = {0.5}, uint8 zw = {131}, uint8[4,1,3,3] w = {255,0,128,7,3,200,90,250,1,255,0,128,7,3,200,90,250,1,
 1,2,3,4,5,6,7,8,9,10,20,30,40,50,60,70,80,90}, float[1,4,1,1] b = {1.0, -2.0, 3.0, 0.5}>
{
  x_q, x_s, x_z = DynamicQuantizeLinear(x)
  [op] sums = ConvInteger<group = 2, pads = [1, 1, 1, 1]>(x_q, w, x_z, zw)
  real = Cast<to = 1>(sums)
  s = Mul(x_s, sw)
  scaled = Mul(real, s)
  y = Add(scaled, b)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "op").integer);
  EXPECT_EQ(lowered.program.steps().size(), 3U);
  const exec::Feed feed{{"x", random_floats({2, 2, 4, 4}, 3)}};
  expect_close(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0]);
}

TEST(Dynamic, SumsThatAreUsedElsewhereStaySums) {
  const graph::Model model = qdq_model(R"(agraph (uint8[3,4] a, uint8 z) => (int32[3,2] sums, float[3,2] real)
<int8[4,2] w = {1, 127, 30, 0, -128, 60, 7, 8}>
{
  [op] sums = MatMulInteger(a, w, z)
  real = Cast<to = 1>(sums)
})");
  const exec::Feed feed{{"a", random_bytes({3, 4}, 1)}, {"z", Tensor::scalar(uint8_t{9})}};
  const auto actual = test::run(lower(model), feed).outputs;
  const auto expected = by_definition(model, feed);
  EXPECT_THAT(actual[0].data<int32_t>(), testing::ElementsAreArray(expected[0].data<int32_t>()));
  expect_close(actual[1], expected[1]);
}

TEST(Dynamic, AllZerosHaveScaleZero) {
  const graph::Model model = qdq_model(kDynamicMatmul);
  Tensor zeros(DataType::kFloat32, {2, 3, 4});
  for (float& value : zeros.mutable_data<float>()) value = 0;
  const auto outputs = test::run(lower(model), {{"x", zeros}}).outputs;
  EXPECT_THAT(outputs[0].data<float>().subspan(0, 2), ElementsAre(1.0F, 0.0F));
}

// Quantizers that place one pair in front of each product leave real values between it and what moves them.
TEST(Movement, IntegersGoOnBehindUnquantizedMovement) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2,4,4] x) => (float[1,8] y)
<float s = {0.5}, uint8 z = {3}, float sw = {0.25}, int8 zw = {0}, int8[8,8] w_q = {1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,
 -8,1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,-8,1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,-8,1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,
 -7,-8}, int64[2] flat = {1, 8}, int64[8] pads = {0, 0, 0, 0, 0, 0, 0, 0}>
{
  x_q = QuantizeLinear(x, s, z)
  r = DequantizeLinear(x_q, s, z)
  [pool] p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(r)
  [pad] padded = Pad(p, pads)
  [reshape] f = Reshape(padded, flat)
  w = DequantizeLinear(w_q, sw, zw)
  [transpose] wt = Transpose<perm = [1, 0]>(w)
  [product] y = MatMul(f, wt)
})");
  const LoweredModel lowered = lower(model);
  for (const char* node : {"pool", "pad", "reshape", "product"})
    EXPECT_TRUE(coverage_of(lowered, node).integer) << node;
  EXPECT_EQ(lowered.program.steps().size(), 5U);  // quantize, pool, pad, reshape, product: nothing is dequantized
  const exec::Feed feed{{"x", random_floats({1, 2, 4, 4}, 3)}};
  expect_close(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0]);
}

TEST(Movement, TransposedWeightsKeepTheirScalesPerChannel) {
  const graph::Model model = qdq_model(R"(agraph (float[2,3] x) => (float[2,2] y)
<float s = {0.5}, uint8 z = {3}, float[2] sw = {0.25, 2.0}, int8[2] zw = {0, 0}, int8[2,3] w_q = {1, 2, 3, -4, 5, -6}>
{
  x_q = QuantizeLinear(x, s, z)
  r = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear<axis = 0>(w_q, sw, zw)
  wt = Transpose(w)
  [product] y = MatMul(r, wt)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "product").integer);
  EXPECT_EQ(lowered.program.steps().size(), 2U);
  const exec::Feed feed{{"x", random_floats({2, 3}, 3)}};
  expect_close(test::run(lowered, feed).outputs[0], by_definition(model, feed)[0]);
}

TEST(Movement, APaddingValueBetweenTwoIntegersStaysReal) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2] x) => (float[1,4] y)
<float s = {0.5}, uint8 z = {3}, int64[4] pads = {0, 1, 0, 1}, float value = {0.3}>
{
  x_q = QuantizeLinear(x, s, z)
  r = DequantizeLinear(x_q, s, z)
  [pad] y = Pad(r, pads, value)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_FALSE(coverage_of(lowered, "pad").integer);
  const exec::Feed feed{{"x", Tensor::of<float>({1, 2}, {1, 2})}};
  EXPECT_THAT(test::run(lowered, feed).outputs[0].data<float>(), ElementsAre(0.3F, 1, 2, 0.3F));
}

TEST(Movement, OperatorsOnIntegersThemselvesCount) {
  const graph::Model model = qdq_model(R"(agraph (uint8[1,1,4,4] x) => (uint8[1,4] y)
<int64[2] flat = {1, 4}>
{
  [pool] p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
  [reshape] y = Reshape(p, flat)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "pool").integer);
  EXPECT_TRUE(coverage_of(lowered, "reshape").integer);
  const Tensor x = Tensor::of<uint8_t>({1, 1, 4, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 200});
  EXPECT_THAT(integers(test::run(lowered, {{"x", x}}).outputs[0]), ElementsAre(6, 8, 14, 200));
}

// Functions are inlined first: what stands in one is quantized as what stands in the graph. x = .5 .5 is 1 1 on the
// grid; its products with 1 2 / 3 4 are 4 6, halved.
TEST(Functions, QuantizedModelsMayHaveThem) {
  const graph::Model model = narrow::test::model_from_text(R"(<ir_version: 10, opset_import: ["" : 17, "my" : 1]>
    agraph (float[1,2] x) => (float[1,2] y, float[1,2] n)
    <float s = {0.5}, uint8 z = {0}, float one = {1.0}, int8 zw = {0}, int8[2,2] w_q = {1, 2, 3, 4}>
    {
      x_q = QuantizeLinear(x, s, z)
      x_dq = DequantizeLinear(x_q, s, z)
      n = my.negative(x)
      y = my.product(x_dq, w_q, one, zw)
    }
    <opset_import: ["" : 17], domain: "my"> negative (x) => (y) { y = Neg(x) }
    <opset_import: ["" : 17], domain: "my"> product (x, w_q, s, z) => (y) { w = DequantizeLinear(w_q, s, z)  y = MatMul(x, w) })");
  const LoweredModel lowered = lower(model);
  Workspace workspace;
  const auto results = lowered.program.run({{"x", Tensor::of<float>({1, 2}, {0.5F, 0.5F})}}, workspace);
  EXPECT_THAT(results[0].data<float>(), ElementsAre(2, 3));
  EXPECT_THAT(results[1].data<float>(), ElementsAre(-0.5F, -0.5F));
  EXPECT_EQ(lowered.coverage.integer_macs(), 4);
}

}  // namespace
}  // namespace narrow::runtime
