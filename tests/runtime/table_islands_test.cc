// Elementwise nodes on one tensor as one table, against the same nodes computed one by one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using test::run;

Tensor all_bytes() {
  Tensor bytes(DataType::kUint8, {256});
  const auto values = bytes.mutable_data<uint8_t>();
  std::iota(values.begin(), values.end(), uint8_t{0});
  return bytes;
}

std::vector<std::string> operators(const LoweredModel& lowered) {
  std::vector<std::string> result;
  for (const exec::StepInfo& step : lowered.program.steps()) result.push_back(step.op_type);
  return result;
}

// Gelu with a quantization in its middle and one before its half.
constexpr std::string_view kGelu = R"(agraph (uint8[256] x_q) => (float[256] y)
<float s = {0.05}, uint8 z = {120}, float sg = {0.0078}, uint8 zg = {0}, float sm = {0.06}, uint8 zm = {3},
 float sy = {0.03}, int8 zy = {-120}, float root = {1.41421354}, float one = {1}, float half = {0.5}>
{
  x = DequantizeLinear(x_q, s, z)
  [div] d = Div(x, root)
  [erf] e = Erf(d)
  [add] g = Add(e, one)
  g_q = QuantizeLinear(g, sg, zg)
  g_dq = DequantizeLinear(g_q, sg, zg)
  [mul] m = Mul(x, g_dq)
  m_q = QuantizeLinear(m, sm, zm)
  m_dq = DequantizeLinear(m_q, sm, zm)
  [half] h = Mul(m_dq, half)
  y_q = QuantizeLinear(h, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})";

TEST(TableIslands, InnerQuantizationsArePartOfTheTable) {
  const graph::Model model = qdq_model(kGelu);
  const LoweredModel fast = lower(model);
  EXPECT_THAT(operators(fast), testing::ElementsAre("Mul", "DequantizeLinear"));
  for (const char* node : {"div", "erf", "add", "mul", "half"}) EXPECT_TRUE(coverage_of(fast, node).integer) << node;
  const LoweredModel plain = lower(model, {.kernels = KernelChoice::kReference});
  EXPECT_EQ(plain.program.steps().size(), 8U);
  const exec::Feed feed{{"x_q", all_bytes()}};
  const auto y = integers(run(fast, feed).values.at("y_q"));
  EXPECT_EQ(y, integers(run(plain, feed).values.at("y_q")));
  // x = -6 and 0: gelu is 0. x = 6.75: g_q is 255, x * g = 13.43 is 224 steps of m_q, half of that 224 of y_q.
  EXPECT_EQ(y[0], -120);
  EXPECT_EQ(y[120], -120);
  EXPECT_EQ(y[255], 104);
}

TEST(TableIslands, RealValuesInsideAreTablesToo) {
  const graph::Model model = qdq_model(R"(agraph (uint8[256] x_q) => (float[256] y, float[256] sum)
<float s = {0.05}, uint8 z = {120}, float three = {3}, float low = {0}, float six = {6}>
{
  x = DequantizeLinear(x_q, s, z)
  [add] a = Add(x, three)
  [clip] c = Clip(a, low, six)
  [mul] m = Mul(x, c)
  [div] d = Div(m, six)
  y_q = QuantizeLinear(d, s, z)
  y = DequantizeLinear(y_q, s, z)
  [other] sum = Add(d, d)
})");
  const LoweredModel fast = lower(model);
  const LoweredModel plain = lower(model, {.kernels = KernelChoice::kReference});
  EXPECT_LT(fast.program.steps().size(), plain.program.steps().size());
  EXPECT_TRUE(coverage_of(fast, "clip").integer);
  const exec::Feed feed{{"x_q", all_bytes()}};
  const auto fast_outputs = run(fast, feed).outputs;
  const auto plain_outputs = run(plain, feed).outputs;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(fast_outputs[i].data<float>(), testing::ElementsAreArray(plain_outputs[i].data<float>()));
  }
}

TEST(TableIslands, TwoTensorsAreNoFunctionOfOne) {
  const graph::Model model = qdq_model(R"(agraph (uint8[256] x_q, uint8[256] w_q) => (float[256] y)
<float s = {0.05}, uint8 z = {120}>
{
  x = DequantizeLinear(x_q, s, z)
  w = DequantizeLinear(w_q, s, z)
  [gate] g = Sigmoid(w)
  g_q = QuantizeLinear(g, s, z)
  g_dq = DequantizeLinear(g_q, s, z)
  [mul] m = Mul(x, g_dq)
  y_q = QuantizeLinear(m, s, z)
  y = DequantizeLinear(y_q, s, z)
})");
  Tensor reversed = all_bytes();
  const auto values = reversed.mutable_data<uint8_t>();
  std::reverse(values.begin(), values.end());
  const exec::Feed feed{{"x_q", all_bytes()}, {"w_q", reversed}};
  const auto fast = run(lower(model), feed);
  const auto plain = run(lower(model, {.kernels = KernelChoice::kReference}), feed);
  EXPECT_EQ(integers(fast.values.at("g_q")), integers(plain.values.at("g_q")));
  EXPECT_EQ(integers(fast.values.at("y_q")), integers(plain.values.at("y_q")));
}

TEST(Lower, ZerosInFrontOfAConvolutionAreItsOwn) {
  const graph::Model model = qdq_model(R"(agraph (uint8[1,1,2,2] x_q) => (float[1,1,2,3] y)
<float s = {1.0}, uint8 z = {5}, int64[8] p = {0, 0, 1, 0, 0, 0, 0, 2}, float sw = {1.0}, int8 zw = {0},
 int8[1,1,2,2] w_q = {1, 2, 3, 4}, float sy = {1.0}, uint8 zy = {100}>
{
  x = DequantizeLinear(x_q, s, z)
  [pad] q = Pad(x, p)
  q_q = QuantizeLinear(q, s, z)
  q_dq = DequantizeLinear(q_q, s, z)
  w = DequantizeLinear(w_q, sw, zw)
  [conv] c = Conv(q_dq, w)
  y_q = QuantizeLinear(c, sy, zy)
  y = DequantizeLinear(y_q, sy, zy)
})");
  const LoweredModel lowered = lower(model);
  EXPECT_THAT(operators(lowered), testing::ElementsAre("Conv", "DequantizeLinear"));
  // Real rows 0 0 0 0 / 1 2 0 0 / -1 3 0 0.
  const auto ran = run(lowered, {{"x_q", Tensor::of<uint8_t>({1, 1, 2, 2}, {6, 7, 4, 8})}});
  EXPECT_THAT(integers(ran.values.at("y_q")), testing::ElementsAre(111, 106, 100, 114, 111, 100));
}

}  // namespace
}  // namespace narrow::runtime
