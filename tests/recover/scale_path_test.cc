#include "lib/recover/scale_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"

namespace narrow::recover {
namespace {

using testing::ElementsAre;

/// Nodes have the names of their outputs.
graph::Model model_of(const std::string& text) {
  graph::Model model = test::graph_from_text(text);
  for (onnx::NodeProto& node : *model.mutable_graph().mutable_node()) node.set_name(node.output(0));
  io::infer_shapes(model);
  return model;
}

/// "node:input" of each constant, with a stroke in front where it divides.
std::optional<std::vector<std::string>> path(const graph::Model& model, const std::string& value, int64_t channels,
                                             size_t readers = 1) {
  const auto found = find_scale_path(graph::GraphIndex(model.graph()), model, value, channels, readers);
  if (!found) return std::nullopt;
  std::vector<std::string> result;
  for (const ScaledConstant& constant : *found) {
    result.push_back((constant.divides ? "/" : "") + constant.node + ":" + std::to_string(constant.input));
  }
  return result;
}

TEST(ScalePath, OfLayerNormalizationWholeAndSpelledOut) {
  const graph::Model model = model_of(R"(g (float[N,2] x) => (float[N,2] y, float[N,2] z)
    <float[2] gain = {1, 2}, float[2] shift = {0, 1}, float[2,2] w = {1, 0, 0, 1}, float tiny = {0.00001}> {
      n = LayerNormalization (x, gain, shift)
      y = MatMul (n, w)
      m = ReduceMean <axes = [-1]> (x)
      c = Sub (x, m)
      s = Mul (c, c)
      v = ReduceMean <axes = [-1]> (s)
      e = Add (v, tiny)
      r = Sqrt (e)
      d = Div (c, r)
      g1 = Mul (d, gain)
      b1 = Add (shift, g1)
      z = MatMul (b1, w) })");
  EXPECT_THAT(*path(model, "n", 2), ElementsAre("n:1", "n:2"));
  EXPECT_THAT(*path(model, "b1", 2), ElementsAre("g1:1", "b1:0"));
}

TEST(ScalePath, EndsWhereSomebodyElseReads) {
  const graph::Model model = model_of(R"(g (float[N,2] x) => (float[N,2] y)
    <float[2] gain = {1, 2}, float[2] shift = {0, 1}, float[2,2] w = {1, 0, 0, 1}> {
      n = LayerNormalization (x, gain, shift)
      p = MatMul (n, w)
      y = Add (p, n) })");
  EXPECT_FALSE(path(model, "n", 2));
  EXPECT_FALSE(path(model, "y", 2));  // an output
}

TEST(ScalePath, ThroughReluGatesAndBothKindsOfProducts) {
  const graph::Model model = model_of(R"(g (float[N,2] x) => (float[N,2] y, float[N,2] z)
    <float[2,2] w = {1, 0, 0, 1}, float[2] b = {1, 2}, float half = {0.5}, float[2] d = {2, 4}> {
      u = MatMul (x, w)
      t = Sigmoid (u)
      v = Gemm <transB = 1> (x, w, b)
      q = Mul (t, v)
      h = Mul (q, half)
      r = Relu (h)
      y = MatMul (r, w)
      f = Div (t, d)
      z = MatMul (f, w) })");
  // Not through the Sigmoid: through the other side of the gate; the scalar stays one.
  EXPECT_THAT(*path(model, "r", 2), ElementsAre("v:1", "v:2"));
  EXPECT_THAT(*path(model, "f", 2), ElementsAre("/f:1"));
  EXPECT_FALSE(path(model, "t", 2));
}

TEST(ScalePath, FromAttentionsResultToItsValues) {
  const auto attention = [](const std::string& heads) {
    return model_of(R"(g (float[1,T,4] x, float[1,H,S,S] p) => (float[1,T,4] y)
      <float[4,4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float[4] b = {1, 2, 3, 4}, int64[1] one = {1}, int64[1] rest = {-1}, int64[2] last = )" +
                    heads + R"(, int64[3] flat = {1, -1, 4}> {
        v = MatMul (x, w)
        c = Add (v, b)
        s = Concat <axis = 0> (one, rest, last)
        a = Reshape (c, s)
        t = Transpose <perm = [0, 2, 1, 3]> (a)
        m = MatMul (p, t)
        u = Transpose <perm = [0, 2, 1, 3]> (m)
        o = Reshape (u, flat)
        y = MatMul (o, w) })");
  };
  EXPECT_THAT(*path(attention("{2, 2}"), "o", 4), ElementsAre("v:1", "c:1"));
  EXPECT_FALSE(path(attention("{4, 2}"), "o", 4));  // not the channels alone
}

TEST(ConstantFactors, SharedConstantsAreCopied) {
  const graph::Model model = model_of(R"(g (float[N,2] x) => (float[N,2] y)
    <float[2,2] w = {1, 2, 3, 4}> {
      u = MatMul (x, w)
      y = MatMul (u, w) })");
  const graph::GraphIndex index(model.graph());
  ConstantFactors factors(model, index);
  const std::vector<double> by{2, 4};
  factors.scale({.node = "u", .input = 1, .axis = -1}, by);
  factors.scale({.node = "y", .input = 1, .axis = -2, .divides = true}, by);
  graph::Model copy = model;
  factors.write(copy);
  const graph::GraphIndex after(copy.graph());
  const auto values = [&](const char* node) {
    const Tensor tensor = copy.tensor(*after.initializer(after.node(node)->input(1)));
    return std::vector<float>(tensor.data<float>().begin(), tensor.data<float>().end());
  };
  EXPECT_THAT(values("u"), ElementsAre(2, 8, 6, 16));
  EXPECT_THAT(values("y"), ElementsAre(0.5F, 1, 0.75F, 1));
}

}  // namespace
}  // namespace narrow::recover
