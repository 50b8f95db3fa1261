// Constants that several bodies compute from one weight: one initializer around them, quantized once.
#include <gtest/gtest.h>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
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

/// Weights of an LSTM as PyTorch has them, given a direction in each branch.
graph::Model normalized() {
  graph::Model model = test::graph_from_text(R"(g (float[5,1,24] x, bool c) => (float[5,1,1,24] y)
      <int64[1] zero = {0}> {
      y = If (c) <
        then_branch = a () => (float[5,1,1,24] ya) {
          wa = Unsqueeze (w, zero) ra = Unsqueeze (r, zero)
          [cells_a] ya = LSTM <hidden_size = 24> (x, wa, ra) },
        else_branch = b () => (float[5,1,1,24] yb) {
          n = Neg (x) wb = Unsqueeze (w, zero) rb = Unsqueeze (r, zero)
          [cells_b] yb = LSTM <hidden_size = 24> (n, wb, rb) }> })");
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", uniform({96, 24}, 1));
  *model.mutable_graph().add_initializer() = graph::tensor_proto("r", uniform({96, 24}, 2));
  model = rewrite::prepare(model);
  io::infer_shapes(model);
  model = rewrite::apply_constants(model, exec::fold_constants(model));
  io::infer_shapes(model);
  return model;
}

Tensor run(const graph::Model& model, bool condition) {
  Workspace workspace;
  const exec::Feed feed{{"x", uniform({5, 1, 24}, 3)}, {"c", Tensor::scalar(condition)}};
  return exec::compile_float(model).run(feed, workspace)[0];
}

TEST(BodyConstants, EqualOnesStandOnceInTheMainGraph) {
  const graph::Model model = normalized();
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  const onnx::NodeProto& first = *index.node("cells_a");
  const onnx::NodeProto& second = *index.node("cells_b");
  EXPECT_EQ(first.input(1), second.input(1));
  EXPECT_EQ(index.graph_of(first.input(1)), &model.graph());
  EXPECT_EQ(index.initializer("w"), nullptr) << "what they were computed from is gone";
  EXPECT_EQ(model.graph().initializer_size(), 2);
}

TEST(BodyConstants, WhatABodyGivesOutStaysInIt) {
  graph::Model model = test::graph_from_text(R"(g (float[1] x, bool c) => (float[40,40] y) {
      y = If (c) <then_branch = a () => (float[40,40] ya) { ya = Transpose (w) },
                  else_branch = b () => (float[40,40] yb) { yb = Transpose (w) }> })");
  const Tensor given = uniform({40, 40}, 1);
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", given);
  EXPECT_TRUE(exec::fold_constants(model).empty()) << "two copies";
  const graph::Model stored = rewrite::apply_constants(model, {{"ya", given}, {"yb", given}});
  const graph::GraphIndex index(stored.graph(), graph::Depth::kBodies);
  EXPECT_NE(index.graph_of("ya"), &stored.graph());
  EXPECT_NE(index.graph_of("yb"), &stored.graph());
  EXPECT_EQ(index.initializer("w"), nullptr);
}

TEST(BodyConstants, AreQuantizedOnceForAllBodies) {
  const graph::Model model = normalized();
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  const plan::PrecisionPlan plan = plan::make_plan(model, analyze::analyze(model), {}, rules);
  graph::Model quantized = rewrite::rewrite_to_qdq(model, plan);
  io::infer_shapes(quantized);
  int64_t codes = 0;
  graph::for_each_tensor(std::as_const(quantized).graph(), [&](const onnx::TensorProto& tensor) {
    if (tensor.data_type() == onnx::TensorProto::INT8 && tensor.dims_size() == 3) ++codes;
  });
  EXPECT_EQ(codes, 2) << "of each weight once";
  for (const bool condition : {true, false}) {
    ErrorStatistics error;
    error.add(run(model, condition).data<float>(), run(quantized, condition).data<float>());
    EXPECT_GT(error.sqnr_db(), 30);
    EXPECT_LT(error.sqnr_db(), 100) << "rounded";
  }
}

}  // namespace
}  // namespace narrow
