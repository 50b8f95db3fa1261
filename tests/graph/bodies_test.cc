// Graphs with bodies: one index over all of them, names that stand for one value each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/print.h"
#include "lib/graph/traverse.h"
#include "tests/support/model_text.h"

namespace narrow::graph {
namespace {

using ::testing::ElementsAre;

constexpr std::string_view kBranches = R"(agraph (float[2] x, bool c) => (float[2] y)
<float[2] w = {1, 2}>
{
  [outer] a = Mul (x, w)
  [choice] y = If (c) <
    then_branch = yes () => (float[2] t) <float[2] k = {3, 4}> { [first] t = Mul (a, k) },
    else_branch = no () => (float[2] t) <float[2] k = {5, 6}> { [second] s = Add (a, k) [third] t = Neg (s) }
  >
})";

TEST(Bodies, NamesBecomeUnique) {
  Model model = test::graph_from_text(kBranches, 17);
  make_names_unique(model.mutable_graph());
  std::vector<std::string> results;
  for_each_node(model.graph(), [&](const onnx::NodeProto& node) { results.push_back(node.output(0)); });
  EXPECT_THAT(results, ElementsAre("a", "t", "s", "t_2", "y"));
  const GraphIndex index(model.graph(), Depth::kBodies);
  EXPECT_EQ(index.node("second")->input(1), "k_2");
  EXPECT_EQ(index.initializer("k_2")->float_data(0), 5);
  EXPECT_TRUE(index.is_output("t_2"));
}

TEST(Bodies, OneIndexOverAllGraphs) {
  Model model = test::graph_from_text(kBranches, 17);
  make_names_unique(model.mutable_graph());
  const GraphIndex index(model.graph(), Depth::kBodies);
  const auto uses = index.uses("a");
  ASSERT_EQ(uses.size(), 2U);
  EXPECT_EQ(uses[0].node->name(), "first");
  EXPECT_EQ(uses[1].node->name(), "second");
  EXPECT_EQ(index.graph_of("a"), &model.graph());
  EXPECT_EQ(index.graph_of(*index.node("outer")), &model.graph());
  EXPECT_NE(index.graph_of(*index.node("first")), index.graph_of(*index.node("second")));
  EXPECT_EQ(index.graph_of("s"), index.graph_of(*index.node("second")));
  EXPECT_EQ(index.graph_of("nothing"), nullptr);
  const GraphIndex flat(model.graph());
  EXPECT_EQ(flat.uses("a")[0].input, Use::kCaptured);
  EXPECT_EQ(flat.node("first"), nullptr);
}

}  // namespace
}  // namespace narrow::graph
