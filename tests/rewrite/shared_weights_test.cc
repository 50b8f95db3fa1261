// Weights that several layers share: stored once where the layers agree on the codes, once for each where not.
#include <gtest/gtest.h>

#include <algorithm>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/qdq.h"
#include "tests/support/model_text.h"

namespace narrow {
namespace {

int count_matrices(const graph::Model& model) {
  int count = 0;
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    count += tensor.data_type() == onnx::TensorProto::INT8 && tensor.dims_size() >= 2 ? 1 : 0;
  }
  return count;
}

void expect_one_weight(std::string_view text, const exec::Feed& feed) {
  graph::Model model = test::graph_from_text(text);
  io::infer_shapes(model);
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kDynamic;
  const plan::PrecisionPlan plan = plan::make_plan(model, analyze::analyze(model), {}, rules);
  graph::Model quantized = rewrite::rewrite_to_qdq(model, plan);
  io::infer_shapes(quantized);
  EXPECT_EQ(count_matrices(quantized), 1);
  Workspace workspace;
  const auto before = exec::compile_float(model).run(feed, workspace);
  const auto after = exec::compile_float(quantized).run(feed, workspace);
  for (size_t i = 0; i < before.size(); ++i) {
    for (size_t k = 0; k < before[i].data<float>().size(); ++k) {
      EXPECT_NEAR(before[i].data<float>()[k], after[i].data<float>()[k], 0.1);
    }
  }
}

const exec::Feed kRow{{"x", Tensor::of<float>({1, 2}, {1, -2})}};

TEST(DynamicProducts, ShareTheCodesOfOneMatrix) {
  expect_one_weight(R"(g (float[1,2] x) => (float[1,2] y, float[1,2] z) <float[2,2] w = {1, 2, -3, 4}> {
      [first] y = MatMul (x, w) [second] z = MatMul (y, w) })",
                    kRow);
}

TEST(DynamicProducts, ShareTheCodesOfOneTransposedMatrix) {
  expect_one_weight(R"(g (float[1,2] x) => (float[1,2] y, float[1,2] z) <float[2,2] w = {1, 2, -3, 4}> {
      [first] y = Gemm <transB = 1> (x, w) [second] z = Gemm <transB = 1> (y, w) })",
                    kRow);
}

TEST(DynamicProducts, ShareTheCodesOfOneKernel) {
  expect_one_weight(R"(g (float[1,1,1,2] x) => (float[1,1,1,2] y, float[1,1,1,2] z) <float[1,1,1,1] w = {-3}> {
      [first] y = Conv (x, w) [second] z = Conv (y, w) })",
                    {{"x", Tensor::of<float>({1, 1, 1, 2}, {1, -2})}});
}

/// Nodes of the type in each graph: the main one, then the bodies.
std::vector<int> counts_of(const graph::Model& model, std::string_view op_type) {
  std::vector<int> counts;
  graph::for_each_graph(model.graph(), [&](const onnx::GraphProto& graph) {
    counts.push_back(static_cast<int>(std::count_if(graph.node().begin(), graph.node().end(),
                                                    [&](const auto& node) { return node.op_type() == op_type; })));
  });
  return counts;
}

/// The inner branches read v, the outer one has the innermost graph around them. All read w.
TEST(StoredWeights, WhatProductsOfSeveralGraphsReadIsDequantizedAroundThem) {
  graph::Model model = test::graph_from_text(
      R"(g (float[1,2] x, bool c) => (float[1,2] z) <float[2,2] w = {1, 2, -3, 4}, float[2,2] v = {5, -6, 7, 8}> {
      [first] y = MatMul (x, w)
      [outer] z = If (c) <
        then_branch = t () => (float[1,2] a) {
          [inner] a = If (c) <then_branch = i () => (float[1,2] p) { [second] p = MatMul (y, v) },
                              else_branch = j () => (float[1,2] q) { [third] q = Gemm (y, v) }> },
        else_branch = e () => (float[1,2] b) { [fourth] b = MatMul (y, w) }> })");
  io::infer_shapes(model);
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  const graph::Model quantized =
      rewrite::rewrite_to_qdq(model, plan::make_plan(model, analyze::analyze(model), {}, rules));
  const std::vector<std::string> graphs{"g", "t", "i", "j", "e"};
  std::vector<std::string> names;
  std::vector<int> integers;
  graph::for_each_graph(quantized.graph(), [&](const onnx::GraphProto& graph) {
    names.push_back(graph.name());
    integers.push_back(
        static_cast<int>(std::count_if(graph.initializer().begin(), graph.initializer().end(), [](const auto& tensor) {
          return tensor.data_type() == onnx::TensorProto::INT8;
        })));
  });
  ASSERT_EQ(names, graphs);
  EXPECT_EQ(integers, (std::vector<int>{1, 1, 0, 0, 0}));
  EXPECT_EQ(counts_of(quantized, "DequantizeLinear"), (std::vector<int>{1, 1, 0, 0, 0}));
  for (const bool taken : {true, false}) {
    const exec::Feed feed{{"x", kRow.at("x")}, {"c", Tensor::scalar(taken)}};
    Workspace workspace;
    const Tensor before = exec::compile_float(model).run(feed, workspace)[0];
    const Tensor after = exec::compile_float(quantized).run(feed, workspace)[0];
    for (size_t k = 0; k < 2; ++k) EXPECT_NEAR(before.data<float>()[k], after.data<float>()[k], 1) << taken;
  }
}

/// A matrix and its transpose in one: told apart, or the wrong one is multiplied.
TEST(BlockProducts, AMatrixThatIsReadBothWaysIsPackedForEach) {
  graph::Model model = test::graph_from_text(R"(g (float[1,32] x) => (float[1,32] y, float[1,32] z) {
      [first] y = MatMul (x, w) [second] z = Gemm <transB = 1> (x, w) })");
  Tensor weight(DataType::kFloat32, {32, 32});
  for (size_t i = 0; i < 1024; ++i) weight.mutable_data<float>()[i] = static_cast<float>(i % 7) - 3;
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", weight);
  io::infer_shapes(model);
  plan::Rules rules;
  rules.defaults.mode = plan::Mode::kWeightOnly;
  rules.defaults.granularity = plan::Granularity::kPerBlock;
  rules.defaults.operators = plan::Operators::kMicrosoft;
  const graph::Model quantized =
      rewrite::rewrite_to_qdq(model, plan::make_plan(model, analyze::analyze(model), {}, rules));
  const graph::GraphIndex index(quantized.graph());
  EXPECT_EQ(index.node("first")->op_type(), "MatMulNBits");
  EXPECT_EQ(index.node("second")->op_type(), "MatMulNBits");
  Tensor x(DataType::kFloat32, {1, 32});
  for (size_t i = 0; i < 32; ++i) x.mutable_data<float>()[i] = static_cast<float>(i);
  Workspace workspace;
  const auto before = exec::compile_float(model).run({{"x", x}}, workspace);
  const auto after = exec::compile_float(quantized).run({{"x", x}}, workspace);
  for (size_t i = 0; i < 2; ++i) {
    for (size_t k = 0; k < 32; ++k) EXPECT_NEAR(before[i].data<float>()[k], after[i].data<float>()[k], 8);
  }
}

}  // namespace
}  // namespace narrow
