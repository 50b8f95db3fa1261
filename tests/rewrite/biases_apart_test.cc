// Biases of convolutions that a runtime would add wrongly where they are inside.
#include "lib/rewrite/biases_apart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "tests/support/model_text.h"

namespace narrow::rewrite {
namespace {

using testing::ElementsAre;

constexpr std::string_view kModel =
    R"(g (float[N,2,4,4] x, float[1,2,4,4] fixed) => (uint8[N,3,4,4] a, uint8[N,3,4,4] b, uint8[1,3,4,4] c, float[N,3,4,4] d)
    <float s = {0.5}, uint8 z = {3}, float[3,2,1,1] w = {1, 2, 3, 4, 5, 6}, float[3] bias = {7, 8, 9},
     int32[3] codes = {14, 16, 18}, float[3] steps = {0.5, 0.5, 0.5},
     float[N,3,4,4] p, float[N,3,4,4] q, float[1,3,4,4] r, float[N,3,4,4] d> {
  [integer] p = Conv (x, w, e)
  e = DequantizeLinear <axis = 0> (codes, steps)
  a = QuantizeLinear (p, s, z)
  [float] q = Conv (x, w, bias)
  t = Relu (q)
  b = QuantizeLinear (t, s, z)
  [known] r = Conv (fixed, w, bias)
  c = QuantizeLinear (r, s, z)
  [last] d = Conv (x, w, bias) })";

graph::Model apart(const graph::Model& original) {
  graph::Model model = original;
  set_biases_apart(original, model);
  return model;
}

/// What is added behind the convolution that a node was.
const onnx::NodeProto& sum_of(const graph::GraphIndex& index, std::string_view node) {
  return *index.uses(index.node(node)->output(0)).front().node;
}

TEST(BiasesApart, OfResultsWithoutKnownShapeAreSums) {
  const graph::Model model = apart(test::graph_from_text(kModel));
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.node("float")->input_size(), 2);
  const onnx::NodeProto& sum = sum_of(index, "float");
  EXPECT_EQ(sum.op_type(), "Add");
  EXPECT_EQ(sum.output(0), "q") << "what reads it reads it still";
  const Tensor bias = model.tensor(*index.initializer(sum.input(1)));
  EXPECT_EQ(bias.shape(), (Shape{3, 1, 1}));
  EXPECT_THAT(bias.data<float>(), ElementsAre(7, 8, 9));
}

TEST(BiasesApart, OfIntegersStayIntegers) {
  const graph::Model model = apart(test::graph_from_text(kModel));
  const graph::GraphIndex index(model.graph());
  const onnx::NodeProto& dequantize = *index.producer(sum_of(index, "integer").input(1));
  ASSERT_EQ(dequantize.op_type(), "DequantizeLinear");
  EXPECT_EQ(graph::int_attribute(dequantize, "axis", -1), 0);
  EXPECT_EQ(dequantize.input(1), "steps");
  const Tensor codes = model.tensor(*index.initializer(dequantize.input(0)));
  EXPECT_EQ(codes.shape(), (Shape{3, 1, 1}));
  EXPECT_THAT(codes.data<int32_t>(), ElementsAre(14, 16, 18));
  EXPECT_EQ(index.producer("e"), nullptr) << "nothing reads the vector any more";
}

TEST(BiasesApart, OthersStayInside) {
  const graph::Model model = apart(test::graph_from_text(kModel));
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.node("known")->input(2), "bias") << "its shape is known";
  EXPECT_EQ(index.node("last")->input(2), "bias") << "nothing is quantized behind it";
}

}  // namespace
}  // namespace narrow::rewrite
