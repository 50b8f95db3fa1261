// Tables that Gather looks up.
#include <gtest/gtest.h>

#include <random>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/qdq.h"
#include "tests/support/model_text.h"

namespace narrow {
namespace {

constexpr int64_t kRows = 128;
constexpr int64_t kColumns = 8;

/// Columns differ in size, so that each needs a scale of its own.
Tensor table() {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values;
  for (int64_t i = 0; i < kRows * kColumns; ++i)
    values.push_back(uniform(random) * static_cast<float>(1 + i % kColumns));
  return Tensor::of<float>({kRows, kColumns}, std::span<const float>(values));
}

graph::Model model() {
  graph::Model model = test::graph_from_text(R"(g (int64[2,3] i) => (float[2,3,8] y, float[2,3] z)
    <float[4] small = {1, 2, 3, 4}, int64 four = {4}> {
      [words] y = Gather (table, i)
      [fold] j = Mod (i, four)
      [few] z = Gather (small, j) })");
  *model.mutable_graph().add_initializer() = graph::tensor_proto("table", table());
  io::infer_shapes(model);
  return model;
}

plan::PrecisionPlan plan_of(const graph::Model& model, plan::Rules rules = {}) {
  return plan::make_plan(model, analyze::analyze(model), {}, std::move(rules));
}

TEST(Lookup, AStaticPlanStoresLargeTablesAndLeavesSmallOnes) {
  const plan::PrecisionPlan plan = plan_of(model());
  EXPECT_EQ(plan.layers.at(0).decision, plan::Decision::kWeightOnly);
  EXPECT_EQ(plan.layers.at(2).decision, plan::Decision::kFloat);
  EXPECT_EQ(plan.layers.at(2).reason->code, ReasonCode::kOperatorNotQuantized);
  plan::Rules kept;
  kept.defaults.keep_float = true;
  EXPECT_EQ(plan_of(model(), kept).layers.at(0).decision, plan::Decision::kFloat);
}

TEST(Lookup, RowsAreDequantizedBehindIt) {
  const graph::Model original = model();
  const plan::PrecisionPlan plan = plan_of(original);
  graph::Model quantized = rewrite::rewrite_to_qdq(original, plan);
  io::infer_shapes(quantized);
  const graph::GraphIndex index(quantized.graph());
  const onnx::NodeProto& dequantize = *index.producer("y");
  EXPECT_EQ(dequantize.op_type(), "DequantizeLinear");
  EXPECT_EQ(graph::int_attribute(dequantize, "axis", 9), -1);
  EXPECT_EQ(index.producer(dequantize.input(0))->op_type(), "Gather");
  const std::vector<int64_t> ids{0, 5, 127, 64, 5, 1};
  const exec::Program program = exec::compile_float(quantized);
  Workspace workspace;
  const Tensor y = program.run({{"i", Tensor::of<int64_t>({2, 3}, std::span<const int64_t>(ids))}}, workspace)[0];
  ASSERT_EQ(y.shape(), (Shape{2, 3, kColumns}));
  const Tensor real = table();
  for (size_t k = 0; k < ids.size(); ++k) {
    for (size_t column = 0; column < kColumns; ++column) {
      const float step = plan.layers[0].weight->params.scales.at(column);
      const float wanted = real.data<float>()[static_cast<size_t>(ids[k]) * kColumns + column];
      EXPECT_LE(std::abs(y.data<float>()[k * kColumns + column] - wanted), 0.5001F * step);
      EXPECT_LE(step, 1.001F * static_cast<float>(1 + column) / 127);
    }
  }
}

}  // namespace
}  // namespace narrow
