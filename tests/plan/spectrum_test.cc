#include "lib/plan/spectrum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::UnorderedElementsAre;

std::set<std::string> found(const std::string& text) {
  graph::Model model = test::graph_from_text(text);
  io::infer_shapes(model);
  return spectrum_nodes(model, graph::GraphIndex(model.graph(), graph::Depth::kBodies));
}

// Down-sampled signal, real and imaginary part by filters, power, bands, logarithm; what follows may be integer.
TEST(SpectrumTest, FiltersBeforeAndBandsBehindThePowerOfALogarithm) {
  EXPECT_THAT(found(R"(g (float[1,4] x) => (float[1,2] y)
    <float[4,4] low = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}, float[4,4] c = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1},
     float[4,2] mel = {1,0, 1,0, 0,1, 0,1}, float[2,2] w = {1,0, 0,1}, float two = {2}, float least = {1e-10}>
    { [down] a = MatMul (x, low)  [re] r = MatMul (a, c)  [im] i = MatMul (a, c)  [turn] j = Neg (i)
      [re2] r2 = Pow (r, two)  [im2] j2 = Mul (j, j)  [power] p = Add (r2, j2)  [bands] b = MatMul (p, mel)
      [bound] f = Max (b, least)  [log] l = Log (f)  [next] y = MatMul (l, w) })"),
              UnorderedElementsAre("down", "re", "im", "turn", "re2", "im2", "power", "bands", "bound"));
}

TEST(SpectrumTest, NotWhatIsReadByOthersToo) {
  EXPECT_THAT(found(R"(g (float[1,4] x) => (float[1,4] y, float[1,4] z)
    <float[4,4] c = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}>
    { [filter] a = MatMul (x, c)  [square] s = Mul (a, a)  [log] y = Log (s)  [other] z = Relu (a) })"),
              UnorderedElementsAre("square"));
}

TEST(SpectrumTest, NotLogarithmsOfSumsNorPowersWithoutOne) {
  EXPECT_THAT(found(R"(g (float[1,4] x) => (float[1,4] y, float[1,4] z)
    <float[4,4] c = {1,0,0,0, 0,1,0,0, 0,0,1,0, 0,0,0,1}, int64[1] axis = {1}>
    { [scores] a = MatMul (x, c)  [exp] e = Exp (a)  [sum] s = ReduceSum (e, axis)  [log] l = Log (s)  [out] y = Sub (a, l)
      [filter] f = MatMul (x, c)  [square] q = Mul (f, f)  [root] z = Sqrt (q) })"),
              UnorderedElementsAre());
}

}  // namespace
}  // namespace narrow::plan
