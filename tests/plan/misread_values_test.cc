#include "lib/plan/misread_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/analyze/analyze.h"
#include "lib/plan/plan.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::ElementsAre;

TEST(MisreadValuesTest, ConstantsAlongAxisOneOfAnUnknownShape) {
  const graph::Model model = test::graph_from_text(R"(g (float[N,4,4] x, int64[3] list, int64[3] square) =>
      (float[N,4,M] along, float[N,1,4] behind, float[1,4,2] known, float[N,4,1] one, float[N,4,M] rankless)
    <float[1,4,1] c = {1, 2, 3, 4}, float[4] v = {1, 2, 3, 4}, float[1] s = {1}, int64[3] fixed = {1, 4, 2}> {
      along = Expand (c, list)
      behind = Expand (v, list)
      known = Expand (c, fixed)
      one = Expand (s, list)
      rankless = Expand (x, square) })");
  EXPECT_THAT(expanded_channels(model, graph::GraphIndex(model.graph())), ElementsAre("along"));
}

TEST(MisreadValuesTest, WhatReadsThemStaysFloatForTheTargetThatMisreadsThem) {
  const graph::Model model = test::graph_from_text(R"(g (float[N,1,5] x, int64[3] list) => (float[N,4,5] y)
    <float[1,4,1] c = {1, 2, 3, 4}, float[N,4,1] e> { e = Expand (c, list)  [product] y = MatMul (e, x) })");
  const analyze::Analysis analysis = analyze::analyze(model);
  Ranges ranges;
  for (const std::string value : {"e", "x"}) {
    ranges[analysis.group(value).representative] = {.range = {0, 4}, .calibrator = "minmax"};
  }
  Rules rules;
  for (const Target target : {Target::kOnnxruntime, Target::kOpenvino}) {
    rules.target = target;
    const PrecisionPlan plan = make_plan(model, analysis, ranges, rules);
    const LayerPlan& product = plan.layers[1];
    const bool misread = target == Target::kOpenvino;
    EXPECT_EQ(product.decision, misread ? Decision::kFloat : Decision::kQuantize);
    ASSERT_EQ(product.reason.has_value(), misread);
    if (!misread) continue;
    EXPECT_EQ(product.reason->detail, "openvino reads 'e', an expanded constant, wrongly");
  }
}

}  // namespace
}  // namespace narrow::plan
