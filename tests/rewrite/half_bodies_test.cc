// Layers in bodies of If and Loop compute in float16 like those around them.
#include <gtest/gtest.h>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/normalize.h"
#include "lib/rewrite/qdq.h"
#include "lib/tensor/metrics.h"
#include "tests/support/model_text.h"
#include "tests/support/random_tensor.h"

namespace narrow {
namespace {

using test::uniform;

graph::Model prepared(std::string_view text) {
  graph::Model model = test::graph_from_text(text);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", uniform({4, 4}, 1));
  model = rewrite::prepare(model);
  io::infer_shapes(model);
  return model;
}

graph::Model in_float16(const graph::Model& model) {
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kFloat16;
  graph::Model half = rewrite::rewrite_to_qdq(model, plan::make_plan(model, analyze::analyze(model), {}, rules));
  io::infer_shapes(half);
  return half;
}

void expect_rounded(const graph::Model& model, const graph::Model& half, const exec::Feed& feed) {
  Workspace workspace;
  const Tensor before = exec::compile_float(model).run(feed, workspace)[0];
  const Tensor after = exec::compile_float(half).run(feed, workspace)[0];
  ErrorStatistics error;
  error.add(before.data<float>(), after.data<float>());
  EXPECT_GT(error.sqnr_db(), 50);
  EXPECT_LT(error.sqnr_db(), 100) << "rounded";
}

TEST(HalfBodies, WhatALoopReadsFromAroundItIsCastOnceBeforeIt) {
  const graph::Model model = prepared(R"(g (int64 n, float[2,4] x) => (float[2,4] y) <bool go = {1}> {
      y = Loop (n, go, x) <body = b (int64 i, bool more, float[2,4] state) => (bool more, float[2,4] next)
        { [product] p = MatMul (state, w) [sum] s = Add (p, x) [shift] next = Add (s, x) }> })");
  const graph::Model half = in_float16(model);
  const graph::GraphIndex index(half.graph(), graph::Depth::kBodies);
  const onnx::NodeProto& product = *index.node("product");
  EXPECT_EQ(index.type(product.output(0)).type, DataType::kFloat16);
  EXPECT_EQ(index.producer(product.input(0))->op_type(), "Cast");
  EXPECT_EQ(index.graph_of(product.input(0)), index.graph_of(product)) << "the state is another one in each round";
  EXPECT_EQ(index.initializer(product.input(1))->data_type(), onnx::TensorProto::FLOAT16);
  EXPECT_EQ(index.initializer("w"), nullptr);
  const onnx::NodeProto& sum = *index.node("sum");
  EXPECT_EQ(sum.input(1), index.node("shift")->input(1));
  EXPECT_EQ(index.graph_of(sum.input(1)), &half.graph());
  EXPECT_EQ(index.type("next").type, DataType::kFloat32) << "outputs of bodies keep their types";
  expect_rounded(model, half, {{"n", Tensor::scalar<int64_t>(3)}, {"x", uniform({2, 4}, 2)}});
}

TEST(HalfBodies, BranchesReadWhatHalfLayersAroundThemMake) {
  const graph::Model model = prepared(R"(g (bool c, float[2,4] x) => (float[2,4] y) {
      [before] t = MatMul (x, w)
      [choice] y = If (c) <then_branch = a () => (float[2,4] ya) { [then] ya = MatMul (t, w) },
                           else_branch = e () => (float[2,4] t) { }> })");
  const graph::Model half = in_float16(model);
  const graph::GraphIndex index(half.graph(), graph::Depth::kBodies);
  EXPECT_EQ(index.node("then")->input(0), index.node("before")->output(0)) << "without a cast";
  EXPECT_EQ(index.node("then")->input(1), index.node("before")->input(1)) << "one constant for both graphs";
  EXPECT_EQ(index.type("t").type, DataType::kFloat32) << "given out by a branch";
  for (const bool condition : {true, false}) {
    expect_rounded(model, half, {{"c", Tensor::scalar(condition)}, {"x", uniform({2, 4}, 2)}});
  }
}

}  // namespace
}  // namespace narrow
