// Differences between small models, by hand.
#include "lib/diff/models.h"

#include <gtest/gtest.h>

#include "lib/diff/model_facts.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::diff {
namespace {

graph::Model model(std::string_view graph, int opset = 17) {
  graph::Model model = test::graph_from_text(graph, opset);
  io::infer_shapes(model);
  return model;
}

/// w = {{1, -2}, {3, 4}}; quantized in steps of 0.5 and 1: {{2, -4}, {3, 4}}.
constexpr std::string_view kFloat = R"(agraph (float[N,2] x) => (float[N,2] y)
  <float[2,2] w = {1, -2, 3, 4}>
  { [product] p = MatMul(x, w)  [act] y = Relu(p) })";
constexpr std::string_view kQuantized = R"(agraph (float[N,2] x) => (float[N,2] y)
  <int8[2,2] w = {2, -4, 3, 5}, float[2] ws = {0.5, 1.0}, int8[2] wz = {0, 0}, float xs = {0.25}, uint8 xz = {7}>
  { [q] xq = QuantizeLinear(x, xs, xz)  [dq] xd = DequantizeLinear(xq, xs, xz)
    [wdq] wd = DequantizeLinear<axis = 0>(w, ws, wz)  [product] p = MatMul(xd, wd)  [act] y = Relu(p) })";

std::vector<Group> compare(const graph::Model& a, const graph::Model& b) {
  return compare_models({.model = a, .compared = a, .file_bytes = 100, .weight_bytes = 16},
                        {.model = b, .compared = b, .file_bytes = 80, .weight_bytes = 4});
}

const Group& group(const std::vector<Group>& groups, const std::string& name) {
  for (const Group& one : groups) {
    if (one.name == name) return one;
  }
  throw Error(ErrorKind::kInternal, "no group {}", name);
}

TEST(DiffModels, QuantizationIsSeenThrough) {
  const std::vector<Group> groups = compare(model(kFloat), model(kQuantized));
  const Group& nodes = group(groups, "nodes");
  EXPECT_EQ(nodes.same, 1) << "Relu";
  EXPECT_TRUE(nodes.added.empty()) << "what only quantizes is no node of its own";
  ASSERT_EQ(nodes.changed.size(), 1U);
  ASSERT_EQ(nodes.changed[0].changes.size(), 1U) << "it still reads x";
  EXPECT_EQ(nodes.changed[0].changes[0].what, "activations");
  EXPECT_EQ(nodes.changed[0].changes[0].text, "[] -> [uint8]");
  const Group& support = group(groups, "supporting nodes");
  ASSERT_EQ(support.changed.size(), 2U);
  EXPECT_EQ(support.changed[1].changes[0].text, "none -> 2") << "DequantizeLinear";
  EXPECT_EQ(group(groups, "quantized values").added[0].name, "x");
  EXPECT_EQ(group(groups, "model").changed[0].changes[0].text, "100 -> 80 (-20 %)");
}

TEST(DiffModels, WeightsAreComparedAsTheNodesReadThem) {
  const std::vector<Group> groups = compare(model(kFloat), model(kQuantized));
  const Group& weights = group(groups, "weights");
  ASSERT_EQ(weights.changed.size(), 1U);
  EXPECT_EQ(weights.changed[0].name, "product input 1");
  ASSERT_EQ(weights.changed[0].changes.size(), 2U);
  EXPECT_EQ(weights.changed[0].changes[0].text, "float32 -> int8 per channel");
  // Only the last weight moves, from 4 to 5: SQNR = 10 log10(1 + 4 + 9 + 16) = 14.77 dB.
  EXPECT_EQ(weights.changed[0].changes[1].text, "off by 1 at most, SQNR 14.8 dB");
  EXPECT_DOUBLE_EQ(weights.changed[0].changes[1].error->max_abs, 1);
}

TEST(DiffModels, AModelEqualsItself) {
  for (const std::string_view text : {kFloat, kQuantized}) {
    for (const Group& one : compare(model(text), model(text))) {
      EXPECT_TRUE(one.name == "model" || one.differences() == 0) << one.name;
    }
  }
}

TEST(DiffModels, NodesThatComeAndGoAndChange) {
  const graph::Model before = model(R"(agraph (float[2,4] x) => (float[2,4] y)
    { [a] h = LeakyRelu<alpha = 0.5>(x)  [b] y = Relu(h) })");
  const graph::Model after = model(R"(agraph (float[2,4] x) => (float[2,4] y)
    { [a] h = LeakyRelu<alpha = 0.25>(x)  [c] y = Sigmoid(h) })",
                                   18);
  const std::vector<Group> groups = compare(before, after);
  const Group& nodes = group(groups, "nodes");
  ASSERT_EQ(nodes.changed.size(), 1U);
  EXPECT_EQ(nodes.changed[0].changes[0].what, "attributes.alpha");
  EXPECT_EQ(nodes.removed[0].name, "b");
  EXPECT_EQ(nodes.added[0].name, "c");
  EXPECT_EQ(nodes.added[0].detail, "Sigmoid");
  EXPECT_EQ(group(groups, "model").changed[0].name, "opset.ai.onnx");
}

TEST(DiffModels, WhatAWeightIsStoredInIsFoundThroughItsDecoder) {
  const ModelFacts facts = facts_of(model(R"(agraph (float[1,4] x) => (float[1,1] y)
    <uint8[4,1] codes = {0, 1, 1, 0}, float[2] book = {-1.5, 2.0}>
    { [indices] i = Cast<to = 6>(codes)  [decode] w = Gather(book, i)  [product] y = MatMul(x, w) })"));
  ASSERT_EQ(facts.nodes.size(), 1U);
  ASSERT_EQ(facts.nodes[0].constants.size(), 1U);
  EXPECT_EQ(facts.nodes[0].constants[0].value.data<float>()[1], 2.0F);
  EXPECT_TRUE(facts.nodes[0].constants[0].stored.ends_with("decoded by Gather")) << facts.nodes[0].constants[0].stored;
}

}  // namespace
}  // namespace narrow::diff
