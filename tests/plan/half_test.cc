#include "lib/plan/half.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::ElementsAre;

struct Case {
  graph::Model model;
  graph::GraphIndex index;

  explicit Case(const std::string& text) : model(test::model_from_text(text)), index(model.graph()) {}
  const onnx::NodeProto& node(int i) const { return model.graph().node(i); }
};

TEST(HalfTest, ConstantsThatOverflowOrUnderflowKeepALayerFloat) {
  const Case model(R"(<ir_version: 8, opset_import: ["" : 13]>
    agraph (float[2] x) => (float[2] a, float[2] b, float[2] c)
    <float[1] mask = {-1e9}, float[1] epsilon = {1e-12}, float[2] fine = {65504, 0.0001}>
    { a = Mul (x, mask)  b = Add (x, epsilon)  c = Mul (x, fine) })");
  const auto reason = [&](int i, DataType type) { return half_refusal(model.model, model.index, model.node(i), type); };
  ASSERT_TRUE(reason(0, DataType::kFloat16));
  EXPECT_EQ(reason(0, DataType::kFloat16)->text(),
            "it can not compute in 16 bits: constant 'mask' overflows or underflows float16");
  EXPECT_TRUE(reason(1, DataType::kFloat16));
  EXPECT_FALSE(reason(2, DataType::kFloat16));
  EXPECT_FALSE(reason(0, DataType::kBfloat16)) << "bfloat16 has the exponents of float32";
}

// Causal masks: the least float32 times 0 and 1, infinite times 0 in 16 bits.
TEST(HalfTest, ConstantsThatAreSpreadCountToo) {
  graph::Model model = test::model_from_text(R"(<ir_version: 8, opset_import: ["" : 14]>
    agraph (float[N,N] x, int64[2] shape) => (float[N,N] a, float[N,N] b, float[N,N] c)
    <float[1] least = {-3.4028235e38}, float[1] fine = {-1e4}>
    { f = ConstantOfShape <value: tensor = float[1] {-3.4028235e38}> (shape)  a = Mul (f, x)
      e = Expand (least, shape)  u = Trilu (e)  b = Mul (u, x)
      g = Expand (fine, shape)  c = Mul (g, x) })");
  io::infer_shapes(model);
  const graph::GraphIndex index(model.graph());
  for (const DataType type : {DataType::kFloat16, DataType::kBfloat16}) {
    const auto reason = [&](int i) { return half_refusal(model, index, model.graph().node(i), type); };
    for (const auto& [node, constant] : {std::pair{1, "'f'"}, {2, "'least'"}, {3, "'least'"}, {4, "'least'"}}) {
      ASSERT_TRUE(reason(node)) << node;
      EXPECT_THAT(reason(node)->text(), testing::HasSubstr(constant));
    }
    EXPECT_FALSE(reason(5));
    EXPECT_FALSE(reason(6));
  }
}

TEST(HalfTest, SlotsFollowTheSchema) {
  const Case model(R"(<ir_version: 8, opset_import: ["" : 13]>
    agraph (float[1,1,2,2] x, int64[1] i) => (float[1,1,4,4] r, double[1,1,2,2] d, float[1,1,2,2] g)
    <float[4] scales = {1, 1, 2, 2}>
    { r = Resize <mode = "nearest"> (x, , scales)  d = Cast <to = 11> (x)  g = Gather <axis = 0> (x, i) })");
  const auto slots = [&](int i) { return half_slots(model.index, model.node(i), DataType::kFloat16, 13); };
  EXPECT_THAT(slots(0).inputs, ElementsAre(0)) << "the scales stay float32";
  EXPECT_THAT(slots(0).outputs, ElementsAre(0));
  EXPECT_THAT(slots(1).inputs, ElementsAre(0));
  EXPECT_THAT(slots(1).outputs, ElementsAre()) << "its own attribute types the result";
  EXPECT_THAT(slots(2).inputs, ElementsAre(0));
}

TEST(HalfTest, WhatGoesIntoSequencesAndOptionalsStaysFloat32) {
  const Case model(R"(<ir_version: 8, opset_import: ["" : 18]>
    agraph (float[2,2] x) => (float[2,2] y, float[2,2] z)
    { s = SplitToSequence (x)  t = SequenceInsert (s, x)  o = Optional (x)
      y = OptionalGetElement (x)  z = Identity (x) })");
  for (int i = 0; i < 4; ++i) {
    const auto reason = half_refusal(model.model, model.index, model.node(i), DataType::kFloat16);
    ASSERT_TRUE(reason) << i;
    EXPECT_EQ(reason->text(), "it can not compute in 16 bits: what sequences and optionals hold stays float32");
  }
  EXPECT_FALSE(half_refusal(model.model, model.index, model.node(4), DataType::kFloat16)) << "a tensor stays one";
}

TEST(HalfTest, ResultsWhoseTypesWouldBeOthersStayFloat32) {
  const Case model(R"(<ir_version: 8, opset_import: ["" : 17]>
    agraph (float[2,2,2,2] x) => (float[2,2,2,2] a, float[2,2,2,2] b, float[2,2,2,2] c, float[2,2,2,2] d, bool[2,2,2,2] e)
    { a = RandomUniformLike (x)  b = MeanVarianceNormalization (x)  c = RandomUniformLike <dtype = 1> (x)
      d = Softmax (x)  e = IsNaN (x) })");
  for (int i = 0; i < 5; ++i) {
    const auto reason = half_refusal(model.model, model.index, model.node(i), DataType::kFloat16);
    ASSERT_EQ(reason.has_value(), i < 2) << i;
    if (!reason) continue;
    const std::string text =
        "it can not compute in 16 bits: of float16 " + model.node(i).op_type() + " makes other types";
    EXPECT_EQ(reason->text(), text);
  }
}

TEST(HalfTest, BesideAnInputOfUnknownTypeNothingIsConverted) {
  const Case model(R"(<ir_version: 8, opset_import: ["" : 13, "own" : 1]>
    agraph (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1, 2, 3, 4}> { g = own.Unknown (x)  y = MatMul (g, w) })");
  EXPECT_TRUE(half_slots(model.index, model.node(1), DataType::kFloat16, 13).inputs.empty());
  EXPECT_TRUE(half_refusal(model.model, model.index, model.node(1), DataType::kFloat16));
}

TEST(HalfTest, TablesThatNothingSumsOverGoToTheNearestAndTheirPlanIsReadBack) {
  graph::Model model = test::graph_from_text(R"(g (int64[1] i, float[1,2] x) => (float[1,2] y, float[1,2] z)
    <float[2,2] table = {1, 2, 3, 4}, float[2,2] w = {1, 2, 3, 4}> { [look] y = Gather (table, i) [sum] z = MatMul (x, w) })");
  io::infer_shapes(model);
  Rules rules;
  rules.defaults.mode = Mode::kFloat16;
  rules.defaults.rounding = Rounding::kSquant;
  const PrecisionPlan plan = make_plan(model, analyze::analyze(model), {}, rules);
  EXPECT_EQ(plan.layers[0].decision, Decision::kFloat16);
  EXPECT_FALSE(plan.layers[0].half_weight);
  EXPECT_TRUE(plan.layers[1].half_weight);
  EXPECT_EQ(to_json(plan_from_json(to_json(plan))), to_json(plan));
}

}  // namespace
}  // namespace narrow::plan
