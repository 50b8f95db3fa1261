// Layers that a plan left float, between quantized values.
#include "lib/rewrite/float_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "tests/support/model_text.h"

namespace narrow::rewrite {
namespace {

using testing::ElementsAre;

graph::Model kept(std::string_view text) {
  graph::Model model = test::graph_from_text(text, 17);
  keep_float_layers(model);
  return model;
}

/// What dequantizes the first input of a node, and how.
struct Source {
  std::string op_type;
  std::vector<float> scales;
  std::vector<uint8_t> zero_points;
  int64_t axis = 0;
};

Source source_of(const graph::Model& model, std::string_view node) {
  const graph::GraphIndex index(model.graph());
  const onnx::NodeProto& maker = *index.producer(index.node(node)->input(0));
  Source source{.op_type = maker.op_type(), .axis = graph::int_attribute(maker, "axis", -1)};
  if (maker.op_type() != "DequantizeLinear") return source;
  const Tensor scales = model.tensor(*index.initializer(maker.input(1)));
  const Tensor zeros = model.tensor(*index.initializer(maker.input(2)));
  source.scales.assign(scales.data<float>().begin(), scales.data<float>().end());
  source.zero_points.assign(zeros.data<uint8_t>().begin(), zeros.data<uint8_t>().end());
  return source;
}

constexpr std::string_view kConvolutions =
    R"(g (uint8[N,2,4,4] q) => (uint8[N,1,4,4] a, uint8[N,1,4,4] b, float[N,1,4,4] c)
    <float s = {0.5}, uint8 z = {3}, float[1,2,1,1] w = {1, 2}, int8[1,2,1,1] v = {1, 2}> {
  d = DequantizeLinear (q, s, z)
  e = DequantizeLinear (v, s)
  [float] f = Conv (d, w)
  r = Relu (f)
  a = QuantizeLinear (r, s, z)
  [integer] i = Conv (d, e)
  b = QuantizeLinear (i, s, z)
  [last] c = Conv (d, w) })";

TEST(FloatLayers, ReadOneScaleForEachChannel) {
  const graph::Model model = kept(kConvolutions);
  const Source source = source_of(model, "float");
  EXPECT_THAT(source.scales, ElementsAre(0.5F, 0.5F));
  EXPECT_THAT(source.zero_points, ElementsAre(3, 3));
  EXPECT_EQ(source.axis, 1);
}

TEST(FloatLayers, AConvolutionWithAWeightOfTwoBitsIsOne) {
  for (const std::string stored : {"int2", "int8"}) {
    const graph::Model model = kept("g (uint8[N,2,4,4] q) => (uint8[N,1,4,4] a) <float s = {0.5}, uint8 z = {3}, " +
                                    stored + R"([1,2,1,1] v = {1, -2}> {
      d = DequantizeLinear (q, s, z)
      w = DequantizeLinear (v, s)
      [layer] y = Conv (d, w)
      a = QuantizeLinear (y, s, z) })");
    EXPECT_THAT(source_of(model, "layer").scales, testing::SizeIs(stored == "int2" ? 2 : 1)) << stored;
  }
}

TEST(FloatLayers, AProductWithAWeightOfTwoBitsReadsSumsOfOneTerm) {
  for (const std::string stored : {"int2", "int8"}) {
    const graph::Model model =
        kept("g (uint8[N,2] q) => (float[N,1] a, float[N,1] y) <float s = {0.5}, uint8 z = {3}, float[1] b = {1}, " +
             stored + R"([2,1] v = {1, -2}> {
      d = DequantizeLinear (q, s, z)
      w = DequantizeLinear (v, s)
      [product] p = MatMul (d, w)
      a = Add (p, b)
      [gemm] y = Gemm (d, w) })");
    const graph::GraphIndex index(model.graph());
    const std::string op_type = stored == "int2" ? "Sum" : "DequantizeLinear";
    EXPECT_EQ(source_of(model, "product").op_type, op_type);
    for (const char* name : {"product", "gemm"}) {
      EXPECT_EQ(index.producer(index.node(name)->input(1))->op_type(), op_type) << name;
    }
  }
}

TEST(FloatLayers, OthersReadWhatTheyRead) {
  const graph::Model model = kept(kConvolutions);
  const graph::GraphIndex index(model.graph());
  EXPECT_EQ(index.node("integer")->input(0), "d");
  EXPECT_EQ(index.node("last")->input(0), "d") << "nothing is quantized behind it";
}

TEST(FloatLayers, TheMatrixOfATransposedProductHasItsChannelsInFront) {
  const graph::Model model = kept(R"(g (uint8[3,N] q) => (uint8[N,2] a)
    <float s = {0.5}, uint8 z = {3}, float[2,3] w = {1, 2, 3, 4, 5, 6}> {
      d = DequantizeLinear (q, s, z)
      [layer] y = Gemm <transA = 1, transB = 1> (d, w)
      a = QuantizeLinear (y, s, z) })");
  const Source source = source_of(model, "layer");
  EXPECT_EQ(source.scales.size(), 3U);
  EXPECT_EQ(source.axis, 0);
  EXPECT_EQ(graph::GraphIndex(model.graph()).producer("d"), nullptr) << "nothing reads it any more";
}

TEST(FloatLayers, WithOneChannelASumIsBetween) {
  const graph::Model model = kept(R"(g (uint8[N,1,4,4] q) => (uint8[N,1,4,4] a)
    <float s = {0.5}, uint8 z = {3}, float[1,1,1,1] w = {2}> {
      d = DequantizeLinear (q, s, z)
      [layer] y = Conv (d, w)
      a = QuantizeLinear (y, s, z) })");
  EXPECT_EQ(source_of(model, "layer").op_type, "Sum");
}

}  // namespace
}  // namespace narrow::rewrite
