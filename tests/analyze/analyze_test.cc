#include "lib/analyze/analyze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::analyze {
namespace {

using testing::ElementsAre;

/// Nodes named after their first output, as normalization leaves them.
graph::Model named(std::string_view text) {
  graph::Model model = io::check_model(test::graph_from_text(text).proto());
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) node.set_name(node.output(0));
  return model;
}

std::string reason_of(const Analysis& analysis, const std::string& node) {
  const Layer* layer = analysis.layer(node);
  return layer->reason ? layer->reason->text() : "";
}

TEST(AnalyzeTest, EveryNodeHasALayerAndEachNoAReason) {
  const Analysis analysis = analyze(named(R"(
agraph (float[1,1,2,2] x, float[1,1,1,1] v, float p) => (float[1,1,2,2] s, float[1,1,4,4] d, int64[4] h)
<float[1,1,1,1] w = {2}>
{
  a = Conv (x, w)
  b = Conv (a, v)
  pads = Constant <value = int64[8] {0, 0, 1, 1, 0, 0, 1, 1}> ()
  d = Pad (b, pads, p)
  s = Softmax (b)
  h = Shape (b)
})"));
  EXPECT_EQ(analysis.layers.size(), 6U);
  EXPECT_EQ(reason_of(analysis, "a"), "");
  EXPECT_EQ(analysis.layer("a")->macs, 4);
  EXPECT_EQ(reason_of(analysis, "b"), "the weight is not constant: 'v'");
  EXPECT_EQ(reason_of(analysis, "d"), "an attribute has no integer form: it pads with a value that is not constant 0");
  EXPECT_EQ(reason_of(analysis, "s"),
            "the operator is not quantized: its output needs more than 8 bits, and it costs little");
  EXPECT_EQ(reason_of(analysis, "h"), "the operator is not quantized: Shape");
  EXPECT_EQ(analysis.layer("nothing"), nullptr);
}

TEST(AnalyzeTest, LayersKnowTheNodesWhoseBodiesTheyStandIn) {
  const Analysis analysis = analyze(test::graph_from_text(R"(g (bool c, float[2] x) => (float[2] y) {
      [first] t = Neg (x)
      [choice] y = If (c) <
        then_branch = a () => (float[2] ya) {
          [inner] ya = If (c) <then_branch = i () => (float[2] yi) { [deep] yi = Abs (t) },
                               else_branch = j () => (float[2] yj) { [other] yj = Neg (t) }> },
        else_branch = b () => (float[2] yb) { [shallow] yb = Relu (t) }> })"));
  EXPECT_THAT(analysis.layer("deep")->inside, ElementsAre("choice", "inner"));
  EXPECT_THAT(analysis.layer("shallow")->inside, ElementsAre("choice"));
  EXPECT_THAT(analysis.layer("choice")->inside, ElementsAre());
}

TEST(AnalyzeTest, AbsentValuesConnectNothing) {
  graph::Model model = named(R"(
agraph (float[4] x) => (int64[2] i, float[4] c) <int64[1] k = {2}, float high = {1}>
{
  v, i = TopK (x, k)
  c = Clip (x, , high)
})");
  model.mutable_graph().mutable_node(0)->set_output(0, "");
  const Analysis analysis = analyze(model);
  EXPECT_EQ(analysis.layer("c")->depth, analysis.layer("v")->depth) << "neither reads what the other makes";
  EXPECT_THAT(analysis.layer("c")->reads, ElementsAre("x", "high"));
  EXPECT_THAT(analysis.layer("v")->makes, ElementsAre("i"));
}

TEST(AnalyzeTest, WeightsWithoutElementsStayFloat) {
  graph::Model model = named(R"(
agraph (float[1,2] x) => (float[1,0] y) <float[2,1] w = {1, 2}> { y = MatMul (x, w) })");
  *model.mutable_graph().mutable_initializer(0) = graph::tensor_proto("w", Tensor(DataType::kFloat32, {2, 0}));
  const Analysis analysis = analyze(model);
  EXPECT_EQ(reason_of(analysis, "y"), "no usable range: 'w' has no elements");
  EXPECT_FALSE(analysis.layer("y")->stored_weight.has_value());
}

TEST(AnalyzeTest, WeightsThatAreNotFiniteStayFloat) {
  graph::Model model = named(R"(
agraph (float[1,2] x) => (float[1,2] y) <float[2,2] w = {1, 2, 3, 4}, float[2] c = {0, 0}> { y = Gemm (x, w, c) })");
  const Tensor broken = Tensor::of<float>({2, 2}, {1, std::numeric_limits<float>::quiet_NaN(), 3, 4});
  *model.mutable_graph().mutable_initializer(0) = graph::tensor_proto("w", broken);
  EXPECT_EQ(reason_of(analyze(model), "y"), "no usable range: 'w' has NaN or infinity");
}

TEST(AnalyzeTest, DataMovementSharesItsInputsGroup) {
  const Analysis analysis = analyze(named(R"(
agraph (float[1,1,4,4] x) => (float[1,4] y)
<float[1,1,1,1] w = {2}, int64[2] shape = {1, 4}>
{
  a = Conv (x, w)
  m = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (a)
  f = Reshape (m, shape)
  y = Relu (f)
})"));
  EXPECT_THAT(analysis.group("f").members, ElementsAre("a", "m", "f"));
  EXPECT_THAT(analysis.group("m").sources, ElementsAre("a"));
  EXPECT_EQ(analysis.group("f").representative, "a");
}

TEST(AnalyzeTest, ConcatJoinsOnlyInputsThatNothingElseReads) {
  const Analysis analysis = analyze(named(R"(
agraph (float[1,1,2,2] x) => (float[1,2,2,2] c, float[1,1,2,2] r)
<float[1,1,1,1] w = {2}>
{
  a = Conv (x, w)
  b = Conv (x, w)
  c = Concat <axis = 1> (a, b)
  r = Relu (b)
})"));
  EXPECT_THAT(analysis.group("c").members, ElementsAre("a", "c"));
  EXPECT_THAT(analysis.group("c").sources, ElementsAre("a", "c"));
  EXPECT_THAT(analysis.group("b").members, ElementsAre("b"));
  EXPECT_TRUE(analysis.clamp_producer.empty()) << "b has another reader than the Relu";
}

}  // namespace
}  // namespace narrow::analyze
