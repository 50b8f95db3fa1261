// Convolutions whose window is their whole input.
#include <gtest/gtest.h>

#include <algorithm>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/normalize.h"
#include "tests/support/random_tensor.h"
#include "tests/support/shaped_model.h"

namespace narrow {
namespace {

using test::uniform;

graph::Model with_weight(std::string_view text, const Shape& weight) {
  graph::Model model = test::graph_from_text(text, 13);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", uniform(weight, 1));
  *model.mutable_graph().add_initializer() = graph::tensor_proto("b", uniform({weight[0]}, 2));
  io::infer_shapes(model);
  return model;
}

std::string operator_of(const graph::Model& model, std::string_view node) {
  return graph::GraphIndex(model.graph()).node(node)->op_type();
}

/// The rewritten model, after a check that it computes the same.
graph::Model rewritten(const graph::Model& model, const Shape& input) {
  graph::Model after = rewrite::dense_heads(model);
  io::infer_shapes(after);
  Workspace workspace;
  const exec::Feed feed{{"x", uniform(input, 3)}};
  const Tensor wanted = exec::compile_float(model).run(feed, workspace)[0];
  const Tensor actual = exec::compile_float(after).run(feed, workspace)[0];
  EXPECT_EQ(actual.shape(), wanted.shape());
  for (size_t i = 0; i < wanted.data<float>().size(); ++i) {
    EXPECT_NEAR(actual.data<float>()[i], wanted.data<float>()[i], 1e-5F) << i;
  }
  return after;
}

constexpr std::string_view kClassifier = R"(g (float[N,6,4,4] x) => (float[N,5] y) <int64[2] sizes = {0, -1}> {
    [pool] p = GlobalAveragePool (x)
    [head] h = Conv (p, w, b)
    [flat] f = Reshape (h, sizes)
    [classes] y = Softmax <axis = -1> (f) })";

TEST(DenseHeads, AClassifierBehindPoolingIsAGemmWhoseResultStaysFloat) {
  const graph::Model after = rewritten(with_weight(kClassifier, {5, 6, 1, 1}), {3, 6, 4, 4});
  EXPECT_EQ(operator_of(after, "head"), "Gemm");
  const graph::GraphIndex index(after.graph());
  EXPECT_EQ(index.type("h").shape, (Shape{-1, 5, 1, 1})) << "its value keeps its name and shape";
  const plan::PrecisionPlan plan =
      plan::make_plan(after, analyze::analyze(after), {{"x", {-1, 1}}, {"p", {-1, 1}}}, {});
  const auto head = std::find_if(plan.layers.begin(), plan.layers.end(), [](auto& l) { return l.node == "head"; });
  EXPECT_EQ(head->decision, plan::Decision::kQuantize);
  EXPECT_TRUE(head->outputs.empty());
}

TEST(DenseHeads, WindowsOfMoreThanAPixelAndOfOtherRanksAreRows) {
  constexpr std::string_view kWhole = R"(g (float[N,2,3,4] x) => (float[N,5,1,1] y) {
      [head] y = Conv <strides = [2, 2]> (x, w, b) })";
  EXPECT_EQ(operator_of(rewritten(with_weight(kWhole, {5, 2, 3, 4}), {2, 2, 3, 4}), "head"), "Gemm");
  constexpr std::string_view kLine = R"(g (float[N,2,3] x) => (float[N,5,1] y) { [head] y = Conv (x, w) })";
  EXPECT_EQ(operator_of(rewritten(with_weight(kLine, {5, 2, 3}), {2, 2, 3}), "head"), "Gemm");
}

struct Kept {
  std::string_view why;
  std::string_view text;
  Shape weight;
};

class KeptConvolution : public testing::TestWithParam<Kept> {};

TEST_P(KeptConvolution, StaysOne) {
  const graph::Model model = with_weight(GetParam().text, GetParam().weight);
  EXPECT_EQ(operator_of(rewrite::dense_heads(model), "head"), "Conv");
}

INSTANTIATE_TEST_SUITE_P(
    DenseHeads, KeptConvolution,
    testing::Values(
        Kept{"its result is summed up on integers",
             "g (float[N,2,1,1] x) => (float[N,2,1,1] y) { [head] h = Conv (x, w, b) y = Add (h, x) }",
             {2, 2, 1, 1}},
        Kept{"another reader computes on integers behind a Reshape",
             R"(g (float[N,2,1,1] x) => (float[N,2,1,1] y, float[N,2] z) <int64[2] sizes = {0, -1}> {
                 [head] y = Conv (x, w, b) f = Reshape (y, sizes) z = Add (f, f) })",
             {2, 2, 1, 1}},
        Kept{"several windows",
             "g (float[N,2,1,2] x) => (float[N,5,1,2] y) { [head] y = Conv (x, w, b) }",
             {5, 2, 1, 1}},
        Kept{"unknown size", "g (float[N,2,H,1] x) => (float[N,5,H,1] y) { [head] y = Conv (x, w, b) }", {5, 2, 1, 1}},
        Kept{"groups",
             "g (float[N,4,1,1] x) => (float[N,4,1,1] y) { [head] y = Conv <group = 2> (x, w, b) }",
             {4, 2, 1, 1}},
        Kept{"padded",
             "g (float[N,2,3,3] x) => (float[N,5,3,3] y) { [head] y = Conv <pads = [1, 1, 1, 1]> (x, w, b) }",
             {5, 2, 3, 3}},
        Kept{"padded as if by itself",
             "g (float[N,2,3,3] x) => (float[N,5,3,3] y) { [head] y = Conv <auto_pad = \"SAME_UPPER\"> (x, w, b) }",
             {5, 2, 3, 3}},
        Kept{"the weight has another reader",
             R"(g (float[N,2,1,1] x) => (float[N,5,1,1] y, float[N,5,1,1] z) {
                 [head] y = Conv (x, w, b) [other] z = Conv (x, w) })",
             {5, 2, 1, 1}}));

}  // namespace
}  // namespace narrow
