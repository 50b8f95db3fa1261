// Groups of nodes that become one step: what they take in, what they leave, and that they compute the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::FloatNear;
using ::testing::Pointwise;

struct Form {
  const char* name;
  const char* graph;
  Shape input;
  size_t steps;  // of the fused program
};

std::ostream& operator<<(std::ostream& stream, const Form& form) {
  return stream << form.name;
}

constexpr char kHardSwish[] = R"(g (float[1,2,3,3] x) => (float[1,3,3,3] y)
  <float[3,2,1,1] w = {1, -2, 3, 0.5, 0.25, -1}, float three = {3}, float low = {0}, float six = {6}, float half = {0.5}>
  { c = Conv(x, w)
    a = Add(c, three)
    l = Clip(a, low, six)
    m = Mul(c, l)
    d = Div(m, six)
    s = Mul(half, d)
    y = Add(s, three) })";

constexpr char kGelu[] = R"(g (float[2,2] x) => (float[2,3] y)
  <float[2,3] w = {1, -2, 3, 0.5, 0.25, -1}, float[3] b = {0.5, -1, 2}, float r = {1.41421354}, float one = {1},
   float half = {0.5}>
  { p = MatMul(x, w)
    c = Add(b, p)
    d = Div(c, r)
    e = Erf(d)
    a = Add(e, one)
    m = Mul(c, a)
    y = Mul(m, half) })";

// The half comes before the product.
constexpr char kGeluHalvedFirst[] = R"(g (float[2,2] x) => (float[2,3] y)
  <float[2,3] w = {1, -2, 3, 0.5, 0.25, -1}, float r = {0.70710678}, float one = {1}, float half = {0.5}>
  { c = MatMul(x, w)
    d = Mul(c, r)
    e = Erf(d)
    a = Add(e, one)
    m = Mul(half, c)
    y = Mul(m, a) })";

constexpr char kPadded[] = R"(g (float[1,1,3,2] x) => (float[1,2,4,4] y)
  <float[2,1,2,2] w = {1, 2, 3, 4, -1, -2, -3, -4}, int64[8] p = {0, 0, 1, 0, 0, 0, 0, 2}, float[2,1,1] shift = {5, 7}>
  { q = Pad(x, p)
    c = Conv <pads = [1, 0, 0, 1]> (q, w)
    y = Sub(shift, c) })";

constexpr char kGemm[] = R"(g (float[2,2] x) => (float[2,3] y)
  <float[3,2] w = {1, -2, 3, 0.5, 0.25, -1}, float[1,3] b = {1, 2, 3}, float[3] s = {2, 3, 4}, float[3] o = {1, 0, -1},
   float[3] m = {0.5, 1, 2}, float[3] v = {1, 4, 9}, float[1,3] f = {2, -1, 0.5}>
  { g = Gemm <alpha = 2.0, beta = 0.5, transB = 1> (x, w, b)
    n = BatchNormalization <epsilon = 0.0> (g, s, o, m, v)
    k = Div(n, f)
    y = Relu(k) })";

constexpr char kMatmulResidual[] = R"(g (float[2,3] x) => (float[2,3] y)
  <float[3,3] w = {1, -2, 3, 0.5, 0.25, -1, 7, -3, 2}, float[3] b = {0.5, -1, 2}>
  { p = MatMul(x, w)
    c = Add(p, b)
    y = Add(c, x) })";

constexpr char kGates[] = R"(g (float[1,2,2,2] x) => (float[1,2,2,2] y)
  <float[2,2,1,1] w = {1, -2, 3, 0.5}, float[2,2,1,1] w2 = {2, 1, -1, 0.5}>
  { c = Conv(x, w)
    s = Sigmoid(c)
    m = Mul(c, s)
    d = Conv(m, w2)
    h = HardSigmoid <alpha = 0.25, beta = 0.5> (d)
    y = Mul(h, d) })";

// The Add's constant would raise the rank, so it stays outside.
constexpr char kRaisesRank[] = R"(g (float[2,2] x) => (float[1,2,3] y)
  <float[2,3] w = {1, -2, 3, 0.5, 0.25, -1}, float[1,1,3] b = {0.5, -1, 2}>
  { p = MatMul(x, w)
    y = Add(p, b) })";

// Somebody else reads the middle of the activation.
constexpr char kMiddleIsRead[] = R"(g (float[1,2,3,3] x) => (float[1,3,3,3] y, float[1,3,3,3] a)
  <float[3,2,1,1] w = {1, -2, 3, 0.5, 0.25, -1}, float three = {3}, float low = {0}, float six = {6}>
  { c = Conv(x, w)
    a = Add(c, three)
    l = Clip(a, low, six)
    m = Mul(c, l)
    y = Div(m, six) })";

const Form kForms[] = {
    {"HardSwish", kHardSwish, {1, 2, 3, 3}, 1},
    {"Gelu", kGelu, {2, 2}, 1},
    {"GeluHalvedFirst", kGeluHalvedFirst, {2, 2}, 1},
    {"Padded", kPadded, {1, 1, 3, 2}, 1},
    {"Gemm", kGemm, {2, 2}, 1},
    {"MatmulResidual", kMatmulResidual, {2, 3}, 1},
    {"Gates", kGates, {1, 2, 2, 2}, 2},
    {"RaisesRank", kRaisesRank, {2, 2}, 2},
    {"MiddleIsRead", kMiddleIsRead, {1, 2, 3, 3}, 5},
};

class Fusion : public ::testing::TestWithParam<Form> {};

TEST_P(Fusion, ComputesWhatTheNodesDo) {
  const graph::Model model = test::graph_from_text(GetParam().graph);
  const Program fused = compile_float(model);
  EXPECT_EQ(fused.steps().size(), GetParam().steps);
  const Feed feed{{"x", pseudo_random(GetParam().input, 5)}};
  Workspace workspace;
  const auto results = fused.run(feed, workspace);
  const auto expected = compile_float(model, {.observed = {}, .fuse = false}).run(feed, workspace);
  ASSERT_EQ(results.size(), expected.size());
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].shape(), expected[i].shape());
    EXPECT_THAT(values_of<float>(results[i]), Pointwise(FloatNear(1e-5F), values_of<float>(expected[i])));
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, Fusion, ::testing::ValuesIn(kForms),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Fusion, MatmulResidualThatBroadcasts) {
  const auto y = run_text(R"(g (float[N,2] x, float[M,1] r) => (float[K,1] y)
    <float[2,1] w = {2, 1}> { c = MatMul(x, w)
      a = Add(r, c)
      y = Relu(a) })",
                          {{"x", floats({1, 2}, {1, -3})}, {"r", floats({2, 1}, {1, 2})}});
  EXPECT_EQ(y[0].shape(), (Shape{2, 1}));
  EXPECT_THAT(values_of<float>(y[0]), ::testing::ElementsAre(0, 1));
}

}  // namespace
}  // namespace narrow::exec
