// Constants that bodies compute from large constants around them: stored where that takes no more room.
#include <gtest/gtest.h>

#include <numeric>

#include "lib/exec/float_program.h"
#include "tests/support/model_text.h"

namespace narrow::exec {
namespace {

/// 40 x 40 floats, too large to be copied without a thought: 0, 1, 2, ...
graph::Model with_weight(std::string_view graph) {
  graph::Model model = test::graph_from_text(graph);
  Tensor weight(DataType::kFloat32, {40, 40});
  const auto values = weight.mutable_data<float>();
  std::iota(values.begin(), values.end(), 0.0F);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", weight);
  return model;
}

TEST(SharedConstants, EqualResultsAreStoredAsOne) {
  const auto folded = fold_constants(with_weight(R"(g (float[1,40] x, bool c) => (float[1,40] y) {
      y = If (c) <
        then_branch = a () => (float[1,40] ya) { t = Transpose (w) ya = MatMul (x, t) },
        else_branch = b () => (float[1,40] yb) { n = Neg (x) u = Transpose (w) yb = MatMul (n, u) }> })"));
  ASSERT_TRUE(folded.contains("t") && folded.contains("u"));
  EXPECT_EQ(folded.at("t").data<float>()[1], 40);
  EXPECT_EQ(folded.at("t").bytes(), folded.at("u").bytes()) << "copies of one tensor";
}

TEST(SharedConstants, OneBodyMayReplaceWhatItAloneReads) {
  const auto folded = fold_constants(with_weight(R"(g (float[1,40] x, bool c) => (float[1,40] y) {
      y = If (c) <
        then_branch = a () => (float[1,40] ya) { t = Transpose (w) ya = MatMul (x, t) },
        else_branch = b () => (float[1,40] yb) { yb = Neg (x) }> })"));
  EXPECT_TRUE(folded.contains("t"));
}

TEST(SharedConstants, DifferentResultsWouldTakeMoreRoom) {
  const auto folded = fold_constants(with_weight(R"(g (float[1,40] x, bool c) => (float[1,40] y) {
      y = If (c) <
        then_branch = a () => (float[1,40] ya) { t = Transpose (w) ya = MatMul (x, t) },
        else_branch = b () => (float[1,40] yb) { u = Neg (w) yb = MatMul (x, u) }> })"));
  EXPECT_FALSE(folded.contains("t"));
  EXPECT_FALSE(folded.contains("u"));
}

TEST(SharedConstants, ASourceThatStaysInUseLeavesNoRoom) {
  const auto folded = fold_constants(with_weight(R"(g (float[1,40] x, bool c) => (float[1,40] y) {
      z = MatMul (x, w)
      y = If (c) <
        then_branch = a () => (float[1,40] ya) { t = Transpose (w) ya = MatMul (z, t) },
        else_branch = b () => (float[1,40] yb) { u = Transpose (w) yb = MatMul (x, u) }> })"));
  EXPECT_FALSE(folded.contains("t"));
}

TEST(SharedConstants, StepsOnTheWayTakeNoRoom) {
  // Halves of the weight in another order, as exporters turn the gates of recurrent layers.
  const auto folded = fold_constants(with_weight(R"(g (float[1,40] x, bool c) => (float[1,40] y)
      <int64[1] zero = {0}, int64[1] half = {20}, int64[1] all = {40}> {
      y = If (c) <
        then_branch = a () => (float[1,40] ya) {
          t1 = Slice (w, zero, half) t2 = Slice (w, half, all) t = Concat <axis = 0> (t2, t1) ya = MatMul (x, t) },
        else_branch = b () => (float[1,40] yb) {
          u1 = Slice (w, zero, half) u2 = Slice (w, half, all) u = Concat <axis = 0> (u2, u1) yb = MatMul (x, u) }> })"));
  ASSERT_TRUE(folded.contains("t"));
  EXPECT_EQ(folded.at("t").data<float>()[0], 800);
}

}  // namespace
}  // namespace narrow::exec
