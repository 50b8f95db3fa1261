#include "lib/validate/scores.h"

#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::validate {
namespace {

bool scores(std::string_view body, std::string_view columns = "2") {
  const std::string text = "agraph (float[N,3] x) => (float[N," + std::string(columns) +
                           "] y) <float[3,2] w = {1,2,3,4,5,6}, float[1] c = {2}> {" + std::string(body) + "}";
  return makes_scores(io::check_model(test::graph_from_text(text).proto()), "y");
}

TEST(Scores, ProductsMeansAndSoftmaxMakeThem) {
  EXPECT_TRUE(scores("y = MatMul (x, w)"));
  EXPECT_TRUE(scores("t = MatMul (x, w)\n u = Add (t, c)\n v = Mul (c, u)\n s = Identity (v)\n y = Flatten (s)"));
  EXPECT_TRUE(scores("t = MatMul (x, w)\n k = Constant <value_floats = [1.0, 2.0]> ()\n y = Add (t, k)"));
  EXPECT_TRUE(scores("t = MatMul (x, w)\n u = Tanh (t)\n y = Softmax (u)"));
}

TEST(Scores, SoftmaxSpelledOutMakesThem) {
  EXPECT_TRUE(
      scores("t = MatMul (x, w)\n e = Exp (t)\n k = Constant <value_ints = [1]> ()\n"
             "s = ReduceSum <keepdims = 0> (e, k)\n u = Unsqueeze (s, k)\n z = Shape (e)\n"
             "b = Expand (u, z)\n y = Div (e, b)"));
  // Divided by the sum of something else.
  EXPECT_FALSE(
      scores("t = MatMul (x, w)\n e = Exp (t)\n k = Constant <value_ints = [1]> ()\n"
             "s = ReduceSum (t, k)\n y = Div (e, s)"));
}

TEST(Scores, EmbeddingsAndReconstructionsAreNone) {
  EXPECT_FALSE(scores("t = MatMul (x, w)\n y = Tanh (t)"));
  EXPECT_FALSE(scores("t = MatMul (x, w)\n y = LpNormalization (t)"));
  EXPECT_FALSE(scores("t = MatMul (x, w)\n n = ReduceL2 <axes = [1]> (t)\n y = Div (t, n)"));
  // As many numbers out as in.
  EXPECT_FALSE(scores("t = MatMul (x, w)\n u = Transpose <perm = [1, 0]> (w)\n y = MatMul (t, u)", "3"));
}

}  // namespace
}  // namespace narrow::validate
