#include "lib/graph/edit.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/graph/print.h"
#include "tests/support/model_text.h"

namespace narrow::graph {
namespace {

TEST(GraphEditorTest, NamesNeverCollide) {
  Model model = test::graph_from_text("agraph (float[1] x) => (float[1] y) { y = Relu (x) }");
  GraphEditor editor(model);
  EXPECT_EQ(editor.unique_name("x"), "x_2");
  EXPECT_EQ(editor.unique_name("x"), "x_3");
  EXPECT_EQ(editor.unique_name("new"), "new");
}

TEST(GraphEditorTest, LongNamesKeepTheirEndsAndWholeCharacters) {
  Model model = test::graph_from_text("agraph (float[1] x) => (float[1] y) { y = Relu (x) }");
  GraphEditor editor(model);
  const std::string longest(64, 'a');
  EXPECT_EQ(editor.unique_name(longest), longest);
  const std::string a31(31, 'a');
  const std::string z31(31, 'z');
  // Both cuts would fall inside a letter of two bytes.
  EXPECT_EQ(editor.unique_name(a31 + "\u00e9" + std::string(40, '-') + "\u00e9" + z31), a31 + "..." + z31);
  EXPECT_EQ(editor.unique_name(a31 + "\u00e9" + std::string(50, '-') + "\u00e9" + z31), a31 + "..." + z31 + "_2");
}

TEST(GraphEditorTest, RedirectReachesIntoBodiesThatCapture) {
  Model model = test::graph_from_text(R"(
agraph (float[1] x, bool c) => (float[1] y)
{
  t = Relu (x)
  y = If (c) <then_branch = body () => (float[1] a) { a = Neg (t) },
              else_branch = own () => (float[1] b) { t = Neg (x)  b = Relu (t) }>
})");
  GraphEditor editor(model);
  editor.redirect_uses({{"t", "u"}});
  const auto& node = model.graph().node(1);
  EXPECT_EQ(node.attribute(0).g().node(0).input(0), "u");
  EXPECT_EQ(node.attribute(1).g().node(1).input(0), "t") << "a body's own value of that name stays";
}

TEST(GraphEditorTest, FinishSortsAndDropsWhatNothingReads) {
  Model model = test::graph_from_text(
      "agraph (float[1] x) => (float[1] y) <float[1] w = {1}, float[1] dead = {2}> { y = Add (x, w) }");
  GraphEditor editor(model);
  editor.add_node("Neg", "n", {"x"}, {"late"});
  model.mutable_graph().mutable_node(0)->set_input(0, "late");
  editor.finish();
  EXPECT_EQ(print(model),
            "ir 8, onnx 17\n"
            "input x: float32[1]\n"
            "constant w = float32[1] {1}\n"
            "late = Neg (x)  # n\n"
            "y = Add (late, w)\n"
            "output y: float32[1]\n");
}

TEST(GraphEditorTest, CyclesAreNamed) {
  Model model =
      test::graph_from_text("agraph (float[1] x) => (float[1] y) { a = Add (x, b)\n b = Relu (a)\n y = Neg (b) }");
  try {
    sort_topologically(model.mutable_graph());
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "node 'a' is on a cycle");
  }
}

}  // namespace
}  // namespace narrow::graph
