#include "lib/runtime/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using test::run;
using testing::ElementsAre;

// x -> Q -> DQ -> Conv (2x2 kernel, bias) -> Relu -> Q -> DQ -> y
constexpr std::string_view kConvRelu = R"(agraph (float[N,1,2,3] x) => (float[N,1,1,2] y)
<float sx = {0.5}, uint8 zx = {1}, float sw = {0.25}, int8 zw = {0}, float sb = {0.125}, int32 zb = {0},
 float sy = {0.5}, uint8 zy = {10}, int8[1,1,2,2] w_q = {1, 2, -3, 4}, int32[1] b_q = {8}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_dq = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear(w_q, sw, zw)
  b = DequantizeLinear(b_q, sb, zb)
  [conv] c = Conv(x_dq, w, b)
  [relu] r = Relu(c)
  y_q = QuantizeLinear(r, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})";

TEST(Lower, ConvReluIsOneIntegerStep) {
  const graph::Model model = qdq_model(kConvRelu);
  for (const KernelChoice kernels : {KernelChoice::kFast, KernelChoice::kReference}) {
    const LoweredModel lowered = lower(model, {.kernels = kernels});
    EXPECT_EQ(lowered.program.steps().size(), 3U);  // quantize, convolution, dequantize
    EXPECT_TRUE(coverage_of(lowered, "conv").integer);
    EXPECT_TRUE(coverage_of(lowered, "relu").integer);
    EXPECT_EQ(coverage_of(lowered, "conv").macs, 8);
    // x_q = 1, 2, 3 / 3, 6, 1. Sums over (x - 1): 0 + 2 - 6 + 20 = 16 -> 16/8 + 1 = 3 -> 16;
    // 1 + 4 - 15 + 0 = -10 -> -.25 -> Relu -> 10.
    const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 1, 2, 3}, {0, 0.5F, 1, 1, 2.5F, 0})}});
    EXPECT_THAT(integers(ran.values.at("x_q")), ElementsAre(1, 2, 3, 3, 6, 1));
    EXPECT_THAT(integers(ran.values.at("y_q")), ElementsAre(16, 10));
    EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(3.0F, 0.0F));
    EXPECT_EQ(lowered.quantized.at("y_q").real, "y");  // the graph output, not "r"
    EXPECT_EQ(lowered.quantized.at("y_q").op_type, "Relu");
    EXPECT_EQ(lowered.quantized.at("y_q").params.zero_points, std::vector<int32_t>{10});
    EXPECT_EQ(lowered.quantized.at("x_q").real, "x");
  }
}

TEST(Lower, BodiesCaptureValuesOfTheIntegerProgram) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2] x, bool c) => (float[1,2] y)
<float s = {0.5}, uint8 z = {0}, float sw = {1.0}, int8 zw = {0}, int8[2,2] w_q = {1, 2, 3, 4}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [product] p = MatMul(x_dq, w)
  p_q = QuantizeLinear(p, s, z)
  p_dq = DequantizeLinear(p_q, s, z)
  [choice] y = If (c) <then_branch = a () => (float[1,2] ya) { ya = Neg(p_dq) },
                       else_branch = b () => (float[1,2] yb) { yb = Add(p_dq, s) }>
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "product").integer);
  EXPECT_FALSE(coverage_of(lowered, "choice").integer);
  const Tensor x = Tensor::of<float>({1, 2}, {1, 0.5F});
  const auto negated = run(lowered, {{"x", x}, {"c", Tensor::scalar(true)}});
  EXPECT_THAT(negated.outputs[0].data<float>(), ElementsAre(-2.5F, -4.0F));
}

// The weight's integers are captured from around the body, as is the value that the body quantizes.
TEST(Lower, LayersOfBodiesRunOnIntegers) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2] x, bool c) => (float[1,2] y)
<float s = {0.5}, uint8 z = {0}, float sw = {1.0}, int8 zw = {0}, int8[2,2] w_q = {1, 2, 3, 4}>
{
  a = Relu(x)
  [choice] y = If (c) <then_branch = t () => (float[1,2] yt) {
      a_q = QuantizeLinear(a, s, z)
      a_dq = DequantizeLinear(a_q, s, z)
      w = DequantizeLinear(w_q, sw, zw)
      [product] p = MatMul(a_dq, w)
      p_q = QuantizeLinear(p, s, z)
      yt = DequantizeLinear(p_q, s, z)
    }, else_branch = e () => (float[1,2] ye) { ye = Identity(a) }>
})");
  LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "product").integer);
  EXPECT_EQ(lowered.quantized.at("p_q").real, "yt");
  const exec::Feed feed{{"x", Tensor::of<float>({1, 2}, {1, 0.5F})}, {"c", Tensor::scalar(true)}};
  const auto ran = run(lowered, feed);
  EXPECT_THAT(integers(ran.values.at("p_q")), ElementsAre(5, 8));
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(2.5F, 4.0F));
  count_macs(lowered, feed);
  EXPECT_EQ(coverage_of(lowered, "product").macs, 4);
}

TEST(Lower, UnsignedWeightsWithZeroPointsPerChannel) {
  const graph::Model model = qdq_model(R"(agraph (uint8[1,1,1,1] x_q) => (float[1,2,1,1] y)
<float s = {1.0}, uint8 z = {0}, float[2] sw = {1.0, 0.5}, uint8[2] zw = {128, 0}, uint8[2,1,1,1] w_q = {130, 200}>
{
  x = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear<axis = 0>(w_q, sw, zw)
  [conv] y = Conv(x, w)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "conv").integer);
  const auto ran = run(lowered, {{"x_q", Tensor::of<uint8_t>({1, 1, 1, 1}, {3})}});
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(6.0F, 300.0F));
}

TEST(Lower, GemmFoldsAlphaBetaAndEndsInFloat) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2] x) => (float[1,2] y)
<float sx = {0.5}, uint8 zx = {1}, float[2] sw = {0.25, 0.5}, int8[2] zw = {0, 0}, 
 int8[2,2] w_q = {1, 2, -3, 4}, float[2] b = {1, 2}>
{
  x_q = QuantizeLinear(x, sx, zx)
  x_dq = DequantizeLinear(x_q, sx, zx)
  w = DequantizeLinear<axis = 0>(w_q, sw, zw)
  [fc] y = Gemm<transB = 1, alpha = 2.0, beta = 3.0>(x_dq, w, b)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "fc").integer);
  EXPECT_EQ(coverage_of(lowered, "fc").macs, 4);
  // x = [1, 1.5]: rows 1*1 + 1.5*2 = 4 and -3 + 6 = 3; * [.25, .5] * 2 + 3 * [1, 2].
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 2}, {1, 1.5F})}});
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(5.0F, 9.0F));
}

TEST(Lower, MatMulFoldsItsBias) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2,2] x) => (float[1,2,2] y)
<float s = {1.0}, int8 z = {0}, int8[2,2] w_q = {1, 2, 3, 4}, float[2] b = {10, -20}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, s, z)
  [mul] m = MatMul(x_dq, w)
  [bias] a = Add(m, b)
  y_q = QuantizeLinear(a, s, z)
  y = DequantizeLinear(y_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "bias").integer);
  EXPECT_EQ(lowered.program.steps().size(), 3U);
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 2, 2}, {1, 0, 2, 3})}});
  EXPECT_THAT(integers(ran.values.at("y_q")), ElementsAre(11, -18, 21, -4));
}

TEST(Lower, ResidualAddPoolAndConcat) {
  const graph::Model model = qdq_model(R"(agraph (float[1,1,2,2] x) => (float[1,2,1,1] y)
<float s = {1.0}, uint8 z = {0}, float s2 = {2.0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [add] a = Add(x_dq, x_dq)
  a_q = QuantizeLinear(a, s2, z)
  a_dq = DequantizeLinear(a_q, s2, z)
  [max] m = MaxPool<kernel_shape = [2, 2]>(a_dq)
  m_q = QuantizeLinear(m, s2, z)
  m_dq = DequantizeLinear(m_q, s2, z)
  [mean] g = GlobalAveragePool(x_dq)
  g_q = QuantizeLinear(g, s, z)
  g_dq = DequantizeLinear(g_q, s, z)
  [join] c = Concat<axis = 1>(m_dq, g_dq)
  c_q = QuantizeLinear(c, s, z)
  y = DequantizeLinear(c_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_EQ(lowered.coverage.node_share(), 1.0);
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 1, 2, 2}, {1, 2, 3, 8})}});
  EXPECT_THAT(integers(ran.values.at("a_q")), ElementsAre(1, 2, 3, 8));
  EXPECT_THAT(integers(ran.values.at("m_q")), ElementsAre(8));
  EXPECT_THAT(integers(ran.values.at("g_q")), ElementsAre(4));  // 3.5 to even
  EXPECT_THAT(integers(ran.values.at("c_q")), ElementsAre(16, 4));
}

TEST(Lower, MovementKeepsOrRequantizesIntegers) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2,2] x) => (float[4] y, float[1,4,4] p)
<float s = {1.0}, uint8 z = {3}, float s2 = {0.5}, int64[1] flat = {4}, int64[6] pads = {0, 1, 1, 0, 1, 1}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [transpose] t = Transpose<perm = [0, 2, 1]>(x_dq)
  t_q = QuantizeLinear(t, s, z)
  t_dq = DequantizeLinear(t_q, s, z)
  [reshape] r = Reshape(t_dq, flat)
  r_q = QuantizeLinear(r, s2, z)
  y = DequantizeLinear(r_q, s2, z)
  [pad] d = Pad(x_dq, pads)
  d_q = QuantizeLinear(d, s, z)
  p = DequantizeLinear(d_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_EQ(lowered.coverage.node_share(), 1.0);
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 2, 2}, {1, 2, 3, 4})}});
  EXPECT_THAT(integers(ran.values.at("t_q")), ElementsAre(4, 6, 5, 7));
  EXPECT_THAT(integers(ran.values.at("r_q")), ElementsAre(5, 9, 7, 11));
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(ran.outputs[1].data<float>(), ElementsAre(0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0));
}

TEST(Lower, FunctionsOfOneNumberAreTables) {
  const graph::Model model = qdq_model(R"(agraph (float[4] x) => (float[4] y)
<float s = {1.0}, int8 z = {0}, float sy = {0.00390625}, int8 zy = {-128}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [act] a = Sigmoid(x_dq)
  y_q = QuantizeLinear(a, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "act").integer);
  // numpy: sigmoid * 256 - 128 of -100, 0, 1, 100.
  EXPECT_THAT(integers(run(lowered, {{"x", Tensor::of<float>({4}, {-100, 0, 1, 100})}}).values.at("y_q")),
              ElementsAre(-128, 0, 59, 127));
}

TEST(Lower, OnePairPerConsumerIsOnePair) {
  const graph::Model model = qdq_model(R"(agraph (float[2] x) => (float[2] y)
<float s = {1.0}, int8 z = {0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  x_q2 = QuantizeLinear(x, s, z)
  x_dq2 = DequantizeLinear(x_q2, s, z)
  [mul] m = Mul(x_dq, x_dq2)
  m_q = QuantizeLinear(m, s, z)
  y = DequantizeLinear(m_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_EQ(lowered.program.steps().size(), 3U);
  EXPECT_THAT(run(lowered, {{"x", Tensor::of<float>({2}, {3, -12})}}).outputs[0].data<float>(), ElementsAre(9, 127));
}

TEST(Lower, AValueThatFloatNodesReadToo) {
  // y is read by a Q and is an output: the convolution ends in float, and a quantize step follows.
  const graph::Model model = qdq_model(R"(agraph (float[1,1,1,1] x) => (float[1,1,1,1] c, float[1,1,1,1] y)
<float s = {1.0}, uint8 z = {0}, int8[1,1,1,1] w_q = {3}, float sw = {0.5}, int8 zw = {0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [conv] c = Conv(x_dq, w)
  c_q = QuantizeLinear(c, s, z)
  y = DequantizeLinear(c_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "conv").integer);
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 1, 1, 1}, {3})}});
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(4.5F));
  EXPECT_THAT(ran.outputs[1].data<float>(), ElementsAre(4.0F));
}

TEST(Lower, CropAndResizeFillsInFloat) {
  const graph::Model model = qdq_model(R"(agraph (float[1,1,1,2] x) => (float[1,1,1,2] y)
<float s = {0.5}, uint8 z = {100}, float[8] roi = {0,0,0,0.5, 1,1,1,2.5}, float[4] scales = {1,1,1,1}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [resize] r = Resize<mode = "nearest", coordinate_transformation_mode = "tf_crop_and_resize",
                      extrapolation_value = 7.0>(x_dq, roi, scales)
  y_q = QuantizeLinear(r, s, z)
  y = DequantizeLinear(y_q, s, z)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_FALSE(coverage_of(lowered, "resize").integer);
  EXPECT_EQ(coverage_of(lowered, "resize").reason->detail, "it fills with an extrapolation value");
  // Positions 0.5 and 2.5 of the last axis: the second is outside.
  const auto ran = run(lowered, {{"x", Tensor::of<float>({1, 1, 1, 2}, {1, 2})}});
  EXPECT_EQ(ran.outputs[0].data<float>()[1], 7.0F);
}

TEST(Lower, AbsentOutputsAreNotWhatAbsentInputsRead) {
  graph::Model model = qdq_model(R"(agraph (float[4] x) => (int64[2] y) <int64[1] k = {2}, float high = {4}> {
  unread, unused = TopK(x, k)
  [clip] c = Clip(x, , high)
  values, y = TopK(c, k)
})");
  for (const int node : {0, 2}) model.mutable_graph().mutable_node(node)->set_output(0, "");
  const LoweredModel lowered = lower(model);
  EXPECT_EQ(lowered.program.steps().size(), 2U) << "nobody needs the first node";
  const auto ran = run(lowered, {{"x", Tensor::of<float>({4}, {3, 1, 2, 5})}});
  EXPECT_THAT(ran.outputs[0].data<int64_t>(), ElementsAre(3, 0));
}

TEST(Lower, AConstantOfHigherRankRaisesTheRank) {
  for (const std::string op : {"Div", "Pow"}) {
    const graph::Model model = qdq_model(R"(agraph (float[2] x) => (float[1,1,2] y)
<float s = {0.5}, uint8 z = {0}, float[1,1,1] c = {1.0}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  [op] r = )" + op + R"((x_dq, c)
  y_q = QuantizeLinear(r, s, z)
  y = DequantizeLinear(y_q, s, z)
})");
    const LoweredModel lowered = lower(model);
    EXPECT_FALSE(coverage_of(lowered, "op").integer) << op;
    EXPECT_EQ(run(lowered, {{"x", Tensor::of<float>({2}, {1, 2})}}).outputs[0].shape(), (Shape{1, 1, 2})) << op;
  }
}

TEST(Lower, ABiasOfHigherRankRaisesTheRank) {
  const graph::Model model = qdq_model(R"(agraph (float[1,2] x) => (float[1,1,1,2] y)
<float s = {1.0}, uint8 z = {0}, float sw = {1.0}, int8 zw = {0}, int8[2,2] w_q = {1,0,0,1}, float[1,1,1,2] b = {1,2}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  m = MatMul(x_dq, w)
  [bias] a = Add(m, b)
  y_q = QuantizeLinear(a, s, z)
  y = DequantizeLinear(y_q, s, z)
})");
  const auto ran = run(lower(model), {{"x", Tensor::of<float>({1, 2}, {3, 4})}});
  EXPECT_EQ(ran.outputs[0].shape(), (Shape{1, 1, 1, 2}));
  EXPECT_THAT(ran.outputs[0].data<float>(), ElementsAre(4, 6));
}

TEST(Lower, AGeluSpelledOutBehindThemIsOneStep) {
  const graph::Model model = test::qdq_model(R"(agraph (float[2,2] x) => (float[2,2] y)
<float s = {0.01}, uint8 z = {100}, int8[2,2] w_q = {50,-20, 30,40}, float sw = {0.01}, int8 zw = {0},
 float root = {1.41421354}, float one = {1.0}, float half = {0.5}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [product] h = MatMul(x_dq, w)
  [a] d = Div(h, root)
  [b] e = Erf(d)
  [c] f = Add(e, one)
  [d] g = Mul(h, f)
  [e] y = Mul(g, half)
})");
  const LoweredModel lowered = lower(model);
  const std::vector<exec::StepInfo> steps = lowered.program.steps();
  EXPECT_EQ(steps.back().op_type, "Gelu");
  EXPECT_EQ(steps.back().fused, (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(lowered.coverage.nodes.size(), 6U);
  EXPECT_EQ(test::coverage_of(lowered, "d").reason->code, ReasonCode::kNotFusable);
  // x = [0.8, -0.6], w = [[0.5, -0.2], [0.3, 0.4]]: h = [0.22, -0.40]; x Phi(x).
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({2, 2}, {0.8F, -0.6F, 0, 0})}});
  EXPECT_NEAR(ran.outputs[0].data<float>()[0], 0.22 * 0.5870644, 1e-5);
  EXPECT_NEAR(ran.outputs[0].data<float>()[1], -0.40 * 0.3445783, 1e-5);
}

TEST(Lower, AGeluSpelledOutEndsInIntegers) {
  const graph::Model model = test::qdq_model(R"(agraph (float[2,2] x) => (float[2,2] y)
<float s = {0.01}, uint8 z = {100}, int8[2,2] w_q = {50,-20, 30,40}, float sw = {0.01}, int8 zw = {0},
 float root = {1.41421354}, float one = {1.0}, float half = {0.5}, float sy = {0.002}, uint8 zy = {90}>
{
  x_q = QuantizeLinear(x, s, z)
  x_dq = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  h = MatMul(x_dq, w)
  d = Div(h, root)
  e = Erf(d)
  f = Add(e, one)
  g = Mul(h, f)
  r = Mul(g, half)
  y_q = QuantizeLinear(r, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_EQ(lowered.program.steps().size(), 4U);  // quantize, product, Gelu to integers, dequantize
  // As above: 0.22 * 0.5870644 and -0.40 * 0.3445783 in steps of 0.002, and two zeros.
  const auto ran = test::run(lowered, {{"x", Tensor::of<float>({2, 2}, {0.8F, -0.6F, 0, 0})}});
  EXPECT_THAT(integers(ran.values.at("y_q")), ElementsAre(90 + 65, 90 - 69, 90, 90));
}

}  // namespace
}  // namespace narrow::runtime
