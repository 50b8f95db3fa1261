// Weights of LSTM, GRU and RNN: two of a node, stored in fewer bits in every mode.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lib/analyze/analyze.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/qdq.h"
#include "tests/support/model_text.h"
#include "tests/support/random_tensor.h"

namespace narrow {
namespace {

constexpr int64_t kHidden = 16;
constexpr int64_t kInputs = 8;
constexpr int64_t kSteps = 5;

using test::uniform;

graph::Model model() {
  graph::Model model = test::graph_from_text(R"(g (float[5,1,8] x) => (float[5,2,1,16] y) {
      [cells] y = LSTM <hidden_size = 16, direction = "bidirectional"> (x, w, r) })");
  *model.mutable_graph().add_initializer() = graph::tensor_proto("w", uniform({2, 4 * kHidden, kInputs}, 1));
  *model.mutable_graph().add_initializer() = graph::tensor_proto("r", uniform({2, 4 * kHidden, kHidden}, 2));
  io::infer_shapes(model);
  return model;
}

plan::PrecisionPlan plan_of(const graph::Model& model, plan::Mode mode) {
  plan::Rules rules;
  rules.defaults.mode = mode;
  return plan::make_plan(model, analyze::analyze(model), {}, rules);
}

TEST(RecurrentWeights, BothHaveAScaleForEachRowOfTheGates) {
  const graph::Model original = model();
  for (const plan::Mode mode : {plan::Mode::kStatic, plan::Mode::kDynamic, plan::Mode::kWeightOnly}) {
    const plan::LayerPlan layer = plan_of(original, mode).layers.at(0);
    ASSERT_EQ(layer.decision, plan::Decision::kWeightOnly);
    ASSERT_EQ(layer.more_weights.size(), 1U);
    for (const plan::WeightPlan& weight : {*layer.weight, layer.more_weights[0]}) {
      EXPECT_EQ(weight.params.axis, 1);
      ASSERT_EQ(weight.params.scales.size(), static_cast<size_t>(4 * kHidden));
      const Tensor real =
          uniform({2, 4 * kHidden, weight.initializer == "w" ? kInputs : kHidden}, weight.initializer == "w" ? 1 : 2);
      const int64_t columns = real.shape()[2];
      float largest = 0;  // of row 3, in both directions
      for (int64_t direction = 0; direction < 2; ++direction) {
        for (int64_t k = 0; k < columns; ++k) {
          const int64_t at = (direction * 4 * kHidden + 3) * columns + k;
          largest = std::max(largest, std::abs(real.data<float>()[static_cast<size_t>(at)]));
        }
      }
      EXPECT_FLOAT_EQ(weight.params.scales[3], largest / 127);
    }
  }
}

TEST(RecurrentWeights, AreDequantizedInFrontOfTheNode) {
  const graph::Model original = model();
  graph::Model quantized = rewrite::rewrite_to_qdq(original, plan_of(original, plan::Mode::kStatic));
  io::infer_shapes(quantized);
  const graph::GraphIndex index(quantized.graph());
  const onnx::NodeProto& cells = *index.node("cells");
  for (const int input : {1, 2}) {
    const onnx::NodeProto* dequantize = index.producer(cells.input(input));
    ASSERT_NE(dequantize, nullptr);
    EXPECT_EQ(dequantize->op_type(), "DequantizeLinear");
    EXPECT_EQ(index.initializer(dequantize->input(0))->data_type(), onnx::TensorProto::INT8);
  }
  EXPECT_EQ(index.initializer("w"), nullptr);
  EXPECT_EQ(index.initializer("r"), nullptr);
  Workspace workspace;
  const std::map<std::string, Tensor> feed{{"x", uniform({kSteps, 1, kInputs}, 3)}};
  const Tensor before = exec::compile_float(original).run(feed, workspace)[0];
  const Tensor after = exec::compile_float(quantized).run(feed, workspace)[0];
  double largest = 0;
  for (size_t i = 0; i < before.data<float>().size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(before.data<float>()[i]) - after.data<float>()[i]));
  }
  EXPECT_GT(largest, 0);
  EXPECT_LT(largest, 0.02);
}

TEST(RecurrentWeights, APlanIsReadBackAndChecked) {
  const graph::Model original = model();
  plan::PrecisionPlan plan = plan_of(original, plan::Mode::kWeightOnly);
  const plan::PrecisionPlan read = plan::plan_from_json(plan::to_json(plan));
  EXPECT_EQ(read.layers[0].more_weights.at(0).params, plan.layers[0].more_weights[0].params);
  EXPECT_NO_THROW(plan::check_plan(read, original));
  plan.layers[0].more_weights[0].input = 1;
  EXPECT_THROW(plan::check_plan(plan, original), Error);
}

}  // namespace
}  // namespace narrow
