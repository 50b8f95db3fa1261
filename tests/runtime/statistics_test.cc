// Reductions, normalizations and quotients from integers to integers, by hand and against float execution of the same
// file.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "lib/exec/float_program.h"
#include "tests/runtime/qdq_text.h"

namespace narrow::runtime {
namespace {

using test::coverage_of;
using test::integers;
using test::qdq_model;
using testing::ElementsAre;

/// y_q = quantize(node(dequantize(x_q))), parameters x: 0.5, zero point 3; y: 0.25, zero point -2.
graph::Model between(const std::string& x_type, const std::string& constants, const std::string& node, int opset = 17) {
  return qdq_model(fmt::format(R"(g ({} x_q) => (int8[] y_q)
<float sx = {{0.5}}, uint8 zx = {{3}}, float sy = {{0.25}}, int8 zy = {{-2}}{}{}> {{
  x = DequantizeLinear(x_q, sx, zx)
  [op] y = {}
  y_q = QuantizeLinear(y, sy, zy)
}})",
                               x_type, constants.empty() ? "" : ", ", constants, node),
                   opset);
}

Tensor run_integers(const graph::Model& model, const exec::Feed& feed) {
  const LoweredModel lowered = lower(model);
  EXPECT_TRUE(coverage_of(lowered, "op").integer) << coverage_of(lowered, "op").reason->text();
  for (const exec::StepInfo& step : lowered.program.steps()) EXPECT_NE(step.op_type, "DequantizeLinear");
  return to_layout(test::run(lowered, feed).outputs[0], Layout::kPlain);
}

TEST(Reductions, MeanByHand) {
  const graph::Model model = between("uint8[2,3]", "", "ReduceMean <axes = [1], keepdims = 0> (x)");
  // Rows in real units: (-1.5, 0, 3.5) and (0.5, 0.5, 1): means 0.6667 and 0.6667; / 0.25 = 2.667 -> 3, less 2.
  const Tensor y = run_integers(model, {{"x_q", Tensor::of<uint8_t>({2, 3}, {0, 3, 10, 4, 4, 5})}});
  EXPECT_EQ(y.shape(), (Shape{2}));
  EXPECT_THAT(integers(y), ElementsAre(1, 1));
}

TEST(Reductions, SumSaturates) {
  const graph::Model model = between("uint8[2,2]", "int64[1] axes = {0}", "ReduceSum(x, axes)");
  // Columns: (-1.5 + 0.5) / 0.25 - 2 = -6; (126 + 126) / 0.25 is beyond 127.
  const Tensor y = run_integers(model, {{"x_q", Tensor::of<uint8_t>({2, 2}, {0, 255, 4, 255})}});
  EXPECT_EQ(y.shape(), (Shape{1, 2}));
  EXPECT_THAT(integers(y), ElementsAre(-6, 127));
}

TEST(Normalization, ByHand) {
  const graph::Model model = between("uint8[1,2]", "float[2] g = {2, -4}, float[2] b = {1, 0.5}",
                                     "LayerNormalization <epsilon = 0.0> (x, g, b)");
  // -1 and 1 whatever the scale: -2 + 1 = -1 -> -4 - 2; -4 + 0.5 = -3.5 -> -14 - 2.
  EXPECT_THAT(integers(run_integers(model, {{"x_q", Tensor::of<uint8_t>({1, 2}, {10, 30})}})), ElementsAre(-6, -16));
}

TEST(Quotients, OfTwoActivations) {
  const graph::Model model = qdq_model(R"(g (uint8[4] a_q, uint8[4] b_q) => (uint8[4] y_q)
<float sa = {0.5}, uint8 za = {3}, float sb = {0.25}, uint8 zb = {10}, float sy = {0.5}, uint8 zy = {7}> {
  a = DequantizeLinear(a_q, sa, za)
  b = DequantizeLinear(b_q, sb, zb)
  [op] y = Div(a, b)
  y_q = QuantizeLinear(y, sy, zy)
})");
  // 3.5 / 1 = 3.5 -> 7 + 7; 1 / -0.5 = -2 -> -4 + 7; 1 / 0 is infinite: 255; 0 / 0 -> 7.
  const exec::Feed feed{{"a_q", Tensor::of<uint8_t>({4}, {10, 5, 5, 3})},
                        {"b_q", Tensor::of<uint8_t>({4}, {14, 8, 10, 10})}};
  EXPECT_THAT(integers(run_integers(model, feed)), ElementsAre(14, 3, 255, 7));
}

TEST(Extremes, OfTwoActivations) {
  const graph::Model model = qdq_model(R"(g (uint8[2] a_q, uint8[2] b_q) => (uint8[2] y_q)
<float sa = {0.5}, uint8 za = {3}, float sb = {0.25}, uint8 zb = {10}, float sy = {0.5}, uint8 zy = {7}> {
  a = DequantizeLinear(a_q, sa, za)
  b = DequantizeLinear(b_q, sb, zb)
  [op] y = Max(a, b)
  y_q = QuantizeLinear(y, sy, zy)
})");
  // max(3.5, 1) -> 7 + 7; max(-1, -0.5) -> -1 + 7.
  const exec::Feed feed{{"a_q", Tensor::of<uint8_t>({2}, {10, 1})}, {"b_q", Tensor::of<uint8_t>({2}, {14, 8})}};
  EXPECT_THAT(integers(run_integers(model, feed)), ElementsAre(14, 6));
}

TEST(Extremes, OfThreeActivationsStayFloat) {
  const LoweredModel lowered = lower(qdq_model(R"(g (uint8[2] a_q) => (uint8[2] y_q, uint8[2] z_q)
<float s = {0.5}, uint8 z = {3}, float sy = {0.25}> {
  a = DequantizeLinear(a_q, s, z)
  [negative] n = Neg(a)
  n_q = QuantizeLinear(n, s, z)
  n_r = DequantizeLinear(n_q, s, z)
  [op] y = Max(a, a, n_r)
  y_q = QuantizeLinear(y, s, z)
  z_q = QuantizeLinear(n, sy, z)
})"));
  // max(-1.5, 1.5) = 1.5 is 3 steps, max(1, -1) 2.
  EXPECT_THAT(integers(test::run(lowered, {{"a_q", Tensor::of<uint8_t>({2}, {0, 5})}}).outputs[0]), ElementsAre(6, 5));
}

TEST(Products, GemmOfTwoActivations) {
  const graph::Model model = qdq_model(R"(g (uint8[3,2] a_q, uint8[2,3] b_q) => (uint8[2,2] y_q)
<float sa = {0.5}, uint8 za = {3}, float sb = {0.25}, uint8 zb = {10}, float sy = {0.5}, uint8 zy = {7}> {
  a = DequantizeLinear(a_q, sa, za)
  b = DequantizeLinear(b_q, sb, zb)
  [op] y = Gemm <transA = 1, transB = 1, alpha = 2.0> (a, b)
  y_q = QuantizeLinear(y, sy, zy)
})");
  // a - 3: columns (1, 2, 3) and (0, -1, 4); b - 10: rows (1, 0, -2) and (4, 2, 1). Sums -5, 11, -8, 2, a fourth of
  // each in real units (0.5 * 0.25 * 2), half a step of y each: -2.5, 5.5, -4, 1 to even, plus 7.
  const exec::Feed feed{{"a_q", Tensor::of<uint8_t>({3, 2}, {4, 3, 5, 2, 6, 7})},
                        {"b_q", Tensor::of<uint8_t>({2, 3}, {11, 10, 8, 14, 12, 11})}};
  EXPECT_THAT(integers(run_integers(model, feed)), ElementsAre(5, 13, 3, 8));
}

TEST(Reductions, ExtremesStayIntegers) {
  const graph::Model model = between("uint8[2,3]", "", "ReduceMax <axes = [1], keepdims = 0> (x)");
  // (10 - 3) * 0.5 = 3.5 -> 14 - 2; (5 - 3) * 0.5 = 1 -> 4 - 2.
  EXPECT_THAT(integers(run_integers(model, {{"x_q", Tensor::of<uint8_t>({2, 3}, {0, 3, 10, 4, 4, 5})}})),
              ElementsAre(12, 2));
}

struct Form {
  const char* name;
  const char* constants;
  const char* node;
  int opset = 17;
  bool has_oracle = true;
};

class AsDefined : public testing::TestWithParam<Form> {};

TEST_P(AsDefined, WithinAStepAtRoundingTies) {
  const Form& form = GetParam();
  const graph::Model model = between("uint8[3,5,4,6]", form.constants, form.node, form.opset);
  Tensor x(DataType::kUint8, {3, 5, 4, 6});
  std::mt19937 generator(7);
  for (uint8_t& value : x.mutable_data<uint8_t>()) value = static_cast<uint8_t>(generator() % 23);
  Workspace workspace;
  const std::vector<int> expected = integers(exec::compile_float(model).run({{"x_q", x}}, workspace)[0]);
  const Tensor y = run_integers(model, {{"x_q", x}});
  const std::vector<int> actual = integers(y);
  ASSERT_EQ(actual.size(), expected.size());
  size_t equal = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1) << i;
    equal += actual[i] == expected[i] ? 1 : 0;
  }
  EXPECT_GE(equal * 100, actual.size() * 98);
  if (!form.has_oracle) return;
  LoweredModel checked = lower(model, {.check_kernels = true});
  test::run(checked, {{"x_q", x}});
  const std::vector<KernelCheck> checks = results_of(*checked.checks);
  ASSERT_EQ(checks.size(), 1U);
  EXPECT_EQ(checks[0].elements, y.size());
  EXPECT_EQ(checks[0].beyond_one, 0);
}

INSTANTIATE_TEST_SUITE_P(
    All, AsDefined,
    testing::Values(
        Form{"MeanOfAll", "", "ReduceMean(x)"}, Form{"MeanOfFirst", "", "ReduceMean <axes = [0]> (x)"},
        Form{"MeanOfSpatial", "", "ReduceMean <axes = [2, 3]> (x)"},
        Form{"MeanOfOuterAndInner", "", "ReduceMean <axes = [0, -1], keepdims = 0> (x)"},
        Form{"MeanOfInnerAxis", "int64[2] axes = {-2, 1}", "ReduceMean(x, axes)", 18},
        Form{"SumOfOne", "int64[1] axes = {2}", "ReduceSum(x, axes)"},
        Form{"LayerNormalization", "float[6] g = {1,2,3,-4,0.5,1}, float[6] b = {0,1,-1,2,3,-3}",
             "LayerNormalization(x, g, b)"},
        Form{"NormalizationOfThreeAxes", "float g = {1.5}", "LayerNormalization <axis = 1> (x, g)"},
        Form{"RootMeanSquare", "float[6] g = {1,2,3,-4,0.5,1}", "RMSNormalization(x, g)", 23},
        Form{"Softmax", "", "Softmax <axis = 1> (x)"},
        Form{"SlopeOfChannel", "float[5,1,1] a = {-1, 0, 0.25, 0.5, 2}", "PRelu(x, a)", 17, false},
        Form{"SlopeOfColumn", "float[6] a = {-1, 0, 0.25, 0.5, 2, 3}", "PRelu(x, a)", 17, false},
        Form{"BatchNormalization", "float[5] g = {1,-2,3,4,0}, float[5] b = {0,1,2,3,4}, float[5] v = {1,2,3,4,5}",
             "BatchNormalization(x, g, b, b, v)", 17, false},
        Form{"FactorOfImage", "float[3,1,1,1] a = {-1, 0.3, 2}", "Mul(a, x)", 17, false},
        Form{"ShiftOfChannel", "float[5,1,1] a = {-1, 0.3, 2, 5, 7}", "Sub(a, x)", 17, false},
        Form{"GlobalMaxPool", "", "GlobalMaxPool(x)", 17, false}, Form{"Reciprocal", "", "Reciprocal(x)", 17, false},
        Form{"GatherElements", "int64[1,1,1,3] i = {2, -1, 0}", "GatherElements <axis = 3> (x, i)", 17, false}),
    [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace narrow::runtime
