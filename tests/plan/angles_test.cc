#include "lib/plan/angles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::set<std::string> found(const std::string& text) {
  graph::Model model = test::graph_from_text(text);
  io::infer_shapes(model);
  return angle_nodes(model, graph::GraphIndex(model.graph(), graph::Depth::kBodies));
}

// As language models export rotary embeddings; the query is multiplied by the sine.
TEST(Angles, OfRotaryEmbeddings) {
  EXPECT_THAT(found(R"(g (float[1,5,8] q, int64[1,5] position) => (float[1,5,8] y)
    <float[1,4,1] frequencies = {1, 0.1, 0.01, 0.001}, int64[1] axis = {1}, int64[3] size = {1, 4, 1}>
    { [all] frequency = Expand (frequencies, size)  [up] p = Unsqueeze (position, axis)  [cast] f = Cast <to = 1> (p)  [outer] a = MatMul (frequency, f)
      [turn] t = Transpose <perm = [0, 2, 1]> (a)  [both] e = Concat <axis = -1> (t, t)
      [sine] s = Sin (e)  [cosine] c = Cos (e)  [rotate] r = Mul (q, s)  [keep] k = Mul (q, c)  [sum] y = Add (r, k) })"),
              UnorderedElementsAre("all", "up", "cast", "outer", "turn", "both", "sine", "cosine"));
}

TEST(Angles, OfTimeSteps) {
  EXPECT_THAT(found(R"(g (float[1,1] time) => (float[1,4] y) <float[4] frequency = {1, 0.1, 0.01, 0.001}>
    { [scale] a = Mul (time, frequency)  [sine] y = Sin (a) })"),
              UnorderedElementsAre("scale", "sine"));
}

TEST(Angles, NotOfLayersNorOfWhatOthersRead) {
  EXPECT_THAT(found(R"(g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}>
    { [layer] a = MatMul (x, w)  [sine] b = Sin (a)  [next] c = MatMul (b, w)  [again] y = Sin (c) })"),
              IsEmpty());
  // x + sin(a x)^2, an activation.
  EXPECT_THAT(found(R"(g (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}, float[2] a = {1, 2}>
    { [layer] h = MatMul (x, w)  [scale] s = Mul (h, a)  [sine] b = Sin (s)  [square] q = Mul (b, b)
      [sum] y = Add (h, q) })"),
              IsEmpty());
  EXPECT_THAT(found(R"(g (float[1,1] time) => (float[1,2] y, float[1,2] z) <float[2] a = {1, 2}>
    { [scale] z = Mul (time, a)  [sine] y = Sin (z) })"),
              IsEmpty());
}

}  // namespace
}  // namespace narrow::plan
