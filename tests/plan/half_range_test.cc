#include "lib/plan/half_range.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::ElementsAre;

/// The nodes that stay float32 where all shall be float16, in order.
std::vector<std::string> kept(const std::string& text) {
  graph::Model model = test::graph_from_text(text);
  io::infer_shapes(model);
  Rules rules;
  rules.defaults.mode = Mode::kFloat16;
  std::vector<std::string> names;
  for (const LayerPlan& layer : make_plan(model, analyze::analyze(model), {}, rules).layers) {
    if (layer.decision != Decision::kFloat16) names.push_back(layer.node);
  }
  return names;
}

TEST(HalfRangeTest, VariancesOfNormalizationsStayFloat) {
  EXPECT_THAT(kept(R"(g (float[2,4] x) => (float[2,4] y)
    <float two = {2}, float epsilon = {1e-5}, float[4] gamma = {1, 2, 3, 4}>
    { [mean] m = ReduceMean <axes = [1]> (x)  [centre] c = Sub (x, m)  [square] s = Pow (c, two)
      [variance] v = ReduceMean <axes = [1]> (s)  [plus] p = Add (v, epsilon)  [root] r = Sqrt (p)
      [over] d = Div (c, r)  [scale] y = Mul (d, gamma) })"),
              ElementsAre("square", "variance", "plus", "root"));
}

TEST(HalfRangeTest, DifferencesOfMeansOfSquaresStayFloat) {
  EXPECT_THAT(kept(R"(g (float[2,4] x) => (float[2,4] y)
    <int64[1] axis = {1}, float quarter = {0.25}, float epsilon = {1e-3}>
    { [sum] a = ReduceSum (x, axis)  [mean] m = Mul (a, quarter)  [square] s = Mul (x, x)
      [squares] b = ReduceSum (s, axis)  [power] q = Mul (b, quarter)  [mean2] n = Mul (m, m)  [variance] v = Sub (q, n)
      [plus] p = Add (v, epsilon)  [root] r = Sqrt (p)  [factor] f = Reciprocal (r)  [centre] c = Sub (x, m)
      [over] y = Mul (c, f) })"),
              ElementsAre("sum", "mean", "square", "squares", "power", "mean2", "variance", "plus", "root"));
}

TEST(HalfRangeTest, PowersOfSpectraStayFloatUpToTheLogarithm) {
  EXPECT_THAT(kept(R"(g (float[2,4] re, float[2,4] im) => (float[2,4] y)
    <float epsilon = {1e-10}, float ten = {10}>
    { [re2] a = Mul (re, re)  [im2] b = Mul (im, im)  [power] p = Add (a, b)  [floor] f = Add (p, epsilon)
      [log] l = Log (f)  [bels] y = Mul (l, ten) })"),
              ElementsAre("re2", "im2", "power", "floor", "log"));
}

TEST(HalfRangeTest, PowersInActivationsAndGatesDoNot) {
  EXPECT_THAT(kept(R"(g (float[2,4] x) => (float[2,4] y, float[2,4] z)
    <float three = {3}, float c = {0.044715}>
    { [cube] p = Pow (x, three)  [part] q = Mul (p, c)  [inner] i = Add (x, q)  [tanh] t = Tanh (i)  [gate] y = Mul (x, t)
      [square] s = Mul (x, x)  [relu] r = Relu (s)  [more] z = Add (r, x) })"),
              ElementsAre());
}

TEST(HalfRangeTest, AVectorOutOfRangeOverItsLengthStaysFloatAndWhatFollowsDoesNot) {
  // The weights overflow, so the product and the vector that it makes may; over its own length it is in range again.
  const auto quotient = [](const std::string& largest) {
    return kept(R"(g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {)" + largest + R"(, 1, 2, 3}>
      { [product] a = MatMul (x, w)  [squares] s = ReduceSumSquare <axes = [1]> (a)  [length] l = Sqrt (s)
        [over] d = Div (a, l)  [next] y = Mul (d, x) })");
  };
  EXPECT_THAT(quotient("1e5"), ElementsAre("product", "squares", "length", "over"));
  EXPECT_THAT(quotient("1e3"), ElementsAre("squares", "length"));
}

}  // namespace
}  // namespace narrow::plan
