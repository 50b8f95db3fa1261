#include "lib/graph/graph_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/model_text.h"

namespace narrow::graph {
namespace {

TEST(GraphIndexTest, ProducersUsesAndTypes) {
  const Model model = test::graph_from_text(
      "agraph (float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { t = Add (x, b)\n y = Mul (t, t) }");
  const GraphIndex index(model.graph());
  EXPECT_EQ(index.producer("t"), &model.graph().node(0));
  EXPECT_EQ(index.producer("x"), nullptr);
  ASSERT_EQ(index.uses("t").size(), 2U);
  EXPECT_EQ(index.uses("t")[1].input, 1);
  EXPECT_TRUE(index.is_input("x"));
  EXPECT_TRUE(index.is_output("y"));
  EXPECT_FALSE(index.is_output("t"));
  EXPECT_EQ(index.type("x").shape, (Shape{-1, 3}));
  EXPECT_EQ(index.type("b").shape, (Shape{3}));
  EXPECT_EQ(index.type("t").type, DataType::kUndefined);
  EXPECT_FALSE(index.has_value("nothing"));
}

constexpr std::string_view kWithBody = R"(
agraph (float[1] x, bool c) => (float[1] y)
{
  t = Relu (x)
  y = If (c) <then_branch = body () => (float[1] a) { a = Neg (t) },
              else_branch = body2 () => (float[1] t2) { t2 = Relu (x) }>
})";

TEST(GraphIndexTest, BodiesUseWhatTheyCapture) {
  const Model model = test::graph_from_text(kWithBody);
  const GraphIndex index(model.graph());
  ASSERT_EQ(index.uses("t").size(), 1U);
  EXPECT_EQ(index.uses("t")[0].input, Use::kCaptured);
  EXPECT_EQ(index.uses("x").size(), 2U);
  const auto& body = model.graph().node(1).attribute(0).g();
  EXPECT_THAT(captured_values(body), testing::ElementsAre("t"));
  EXPECT_THAT(reads_of(model.graph().node(1)), testing::ElementsAre("c", "t", "x"));
}

TEST(GraphIndexTest, ABodyBeforeWhatItCapturesIsAUseToo) {
  Model model = test::graph_from_text(kWithBody);
  model.mutable_graph().mutable_node()->SwapElements(0, 1);
  EXPECT_EQ(GraphIndex(model.graph()).uses("t").size(), 1U);
}

TEST(GraphIndexTest, ASequenceHasItsType) {
  const Model model = test::graph_from_text("agraph (seq(float[N]) s) => (int64 n) { n = SequenceLength (s) }");
  EXPECT_EQ(GraphIndex(model.graph()).type("s").type, DataType::kSequence);
}

}  // namespace
}  // namespace narrow::graph
