#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/plan/plan.h"

namespace narrow::plan {
namespace {

PrecisionPlan small_plan() {
  PrecisionPlan plan{.model_sha256 = "abc"};
  plan.layers.push_back({.node = "conv",
                         .op_type = "Conv",
                         .decision = Decision::kQuantize,
                         .rule = "defaults",
                         .activations = {"x"},
                         .outputs = {"y"},
                         .weight = WeightPlan{.input = 1,
                                              .initializer = "w",
                                              .params = {.type = quant::QuantType::kInt8,
                                                         .axis = 0,
                                                         .scales = {0.1F, 1.0F / 3},
                                                         .zero_points = {0, 0}}},
                         .bias_input = 2});
  plan.layers.push_back({.node = "soft",
                         .op_type = "Softmax",
                         .decision = Decision::kFloat,
                         .rule = "structure",
                         .reason = Reason{ReasonCode::kOperatorNotQuantized, "why"}});
  plan.prepared.push_back({.fate = Fate::kFolded, .nodes = {"bn"}});
  plan.values.push_back({.value = "x",
                         .params = {.type = quant::QuantType::kUint8, .scales = {0.02F}, .zero_points = {128}},
                         .range = {-2.56F, 2.54F},
                         .calibrator = "minmax"});
  return plan;
}

TEST(PlanJsonTest, ReadsBackToTheSameText) {
  const std::string text = json_text(to_json(small_plan()));
  const PrecisionPlan again = plan_from_json(parse_json(text, "plan"));
  EXPECT_EQ(json_text(to_json(again)), text);
  EXPECT_EQ(again.layers[0].weight->params, small_plan().layers[0].weight->params);
  EXPECT_EQ(again.layers[1].reason, small_plan().layers[1].reason);
  EXPECT_EQ(again.prepared[0].fate, Fate::kFolded);
}

TEST(PlanJsonTest, TheFormOfTheFileIsReadBack) {
  PrecisionPlan plan = small_plan();
  EXPECT_FALSE(to_json(plan).contains("form"));
  plan.form.biases_apart = true;
  EXPECT_EQ(plan_from_json(to_json(plan)).form, plan.form);
}

/// A weight of type codebook, rounded at random.
PrecisionPlan coded_plan() {
  PrecisionPlan plan{.model_sha256 = "abc"};
  plan.layers.push_back({.node = "gemm", .op_type = "Gemm", .decision = Decision::kWeightOnly, .rule = "defaults"});
  plan.layers[0].weight = WeightPlan{
      .input = 1,
      .initializer = "w",
      .params = {
          .type = quant::QuantType::kCodebook,
          .axis = 0,
          .scales = {0.5F, 2, 3},
          .zero_points = {0, 0, 0},
          .codebooks = quant::Codebooks{.entries = 2, .axis = 0, .channels = 2, .values = {-0.1F, 1.0F / 3, -2, 7}},
          .noise = quant::RoundingNoise(7, "w")}};
  return plan;
}

TEST(PlanJsonTest, CodebooksAndRoundingAreReadBack) {
  const Json json = to_json(coded_plan());
  EXPECT_EQ(json["layers"][0]["weights"]["codebooks"]["channels"], 2);
  EXPECT_EQ(json["layers"][0]["weights"]["rounding"], "stochastic");
  EXPECT_EQ(json["layers"][0]["weights"]["seed"], 7);
  EXPECT_EQ(plan_from_json(json).layers[0].weight->params, coded_plan().layers[0].weight->params);
}

TEST(PlanJsonTest, SumsThatAreKeptAreReadBack) {
  PrecisionPlan plan{.model_sha256 = "abc"};
  plan.layers.push_back({.node = "conv", .op_type = "Conv", .decision = Decision::kWeightOnly, .rule = "defaults"});
  plan.layers[0].weight = WeightPlan{
      .input = 1,
      .initializer = "w",
      .params = {.type = quant::QuantType::kInt8, .scales = {1}, .zero_points = {0}, .sum_axes = {{2}, {1, 2}}}};
  plan.layers.push_back({.node = "gemm", .op_type = "Gemm", .decision = Decision::kFloat16, .rule = "defaults"});
  plan.layers[1].half_weight = HalfWeightPlan{.input = 1, .initializer = "v", .sum_axes = {{0}}};
  const Json json = to_json(plan);
  EXPECT_EQ(json["layers"][0]["weights"]["rounding"], "squant");
  const PrecisionPlan read = plan_from_json(json);
  EXPECT_EQ(read.layers[0].weight->params, plan.layers[0].weight->params);
  EXPECT_EQ(read.layers[1].half_weight->initializer, "v");
  EXPECT_EQ(read.layers[1].half_weight->sum_axes, SumAxes{{0}});
}

TEST(PlanJsonTest, MethodsOfRecoveryAreReadBack) {
  PrecisionPlan plan{.model_sha256 = "abc"};
  plan.layers.push_back({.node = "free", .op_type = "Relu", .rule = "defaults"});
  plan.layers.push_back({.node = "held", .op_type = "Relu", .rule = "defaults", .recovery = {}});
  plan.layers.push_back(
      {.node = "part", .op_type = "Relu", .rule = "defaults", .recovery = {RecoveryMethod::kEqualize}});
  for (LayerPlan& layer : plan.layers) layer.reason = Reason{ReasonCode::kKeptByRule, ""};
  const Json json = to_json(plan);
  EXPECT_FALSE(json["layers"][0].contains("recovery"));
  const PrecisionPlan read = plan_from_json(json);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(read.layers[i].recovery, plan.layers[i].recovery);
  EXPECT_FALSE(allows(read.layers[2], RecoveryMethod::kRound));
}

TEST(PlanJsonTest, GridsOfAlignedInputsAreReadBack) {
  PrecisionPlan plan{.model_sha256 = "abc"};
  RecoveryStep align{.method = RecoveryMethod::kAlign};
  align.inputs = {
      {.value = "x", .factors = {1.1F, 0.9F}, .shifts = {0.013F, -0.1F}, .scale = 0.017F, .zero_point = 115},
      {.value = "z", .scale = 1, .zero_point = 0}};
  plan.recovery =
      RecoveryRecord{.steps = {align, {.method = RecoveryMethod::kRound}}, .data_sha256 = "d", .samples = 9};
  EXPECT_EQ(plan_from_json(to_json(plan)).recovery->steps, plan.recovery->steps);
  Json damaged = to_json(plan);
  damaged["recovery"]["steps"][0]["inputs"][0]["factors"][1] = 0;
  EXPECT_THROW(plan_from_json(damaged), Error);
  damaged = to_json(plan);
  damaged["recovery"]["steps"][0]["inputs"][1]["zero_point"] = 256;
  EXPECT_THROW(plan_from_json(damaged), Error);
}

TEST(PlanJsonTest, TheQuarterOfTheSamplesThatJudgedIsReadBack) {
  PrecisionPlan plan{.model_sha256 = "abc"};
  plan.recovery =
      RecoveryRecord{.steps = {{.method = RecoveryMethod::kRound}}, .data_sha256 = "d", .samples = 9, .held = 0};
  Json json = to_json(plan);
  EXPECT_EQ(plan_from_json(json).recovery->held, 0);
  json["recovery"]["held"] = 4;
  EXPECT_THROW(plan_from_json(json), Error);
  json["recovery"].erase("held");
  EXPECT_EQ(plan_from_json(json).recovery->held, 2);
}

TEST(PlanJsonTest, DamagedCodebooksAreNamedByTheirPath) {
  const auto failure = [](const char* key, const Json& value) {
    Json json = to_json(coded_plan());
    json["layers"][0]["weights"][Json::json_pointer(key)] = value;
    try {
      plan_from_json(json);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(failure("/codebooks/entries", 257), "layers[0].weights.codebooks.entries: must be from 2 to 256");
  EXPECT_EQ(failure("/codebooks/channels", 0), "layers[0].weights.codebooks.channels: must be at least 1");
  EXPECT_EQ(failure("/rounding", "up"), "layers[0].weights.rounding: 'up' is none of half_even, stochastic, squant");
  EXPECT_EQ(failure("/seed", -1), "layers[0].weights.seed: must be at least 0");
}

std::string failure_of(const std::function<void(Json&)>& damage) {
  Json json = to_json(small_plan());
  damage(json);
  try {
    plan_from_json(json);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(PlanJsonTest, ADecisionIsEditedInOneLine) {
  for (const char* decision : {"float32", "fold", "weight_only", "float16"}) {
    Json json = to_json(small_plan());
    json["layers"][0]["decision"] = decision;
    const LayerPlan layer = plan_from_json(json).layers[0];
    EXPECT_EQ(decision_name(layer.decision), decision);
    EXPECT_TRUE(layer.activations.empty() && layer.outputs.empty() && !layer.bias_input && !layer.half_weight)
        << "what stands there of a quantized layer is idle";
    EXPECT_EQ(layer.weight.has_value(), layer.decision == Decision::kWeightOnly);
  }
}

TEST(PlanJsonTest, DamageIsNamedByItsPath) {
  EXPECT_EQ(failure_of([](Json& j) { j["version"] = 2; }), "version: 2 is unknown; this program reads version 1");
  EXPECT_EQ(failure_of([](Json& j) { j["values"][0]["scale"] = 0; }), "values[0].scale: expected a positive number");
  EXPECT_EQ(failure_of([](Json& j) { j["values"][0]["zero_point"] = 300; }),
            "values[0].zero_point: 300 is outside uint8");
  EXPECT_EQ(failure_of([](Json& j) { j["layers"][0]["weights"]["scales"][1] = "x"; }),
            "layers[0].weights.scales: expected a positive number");
  EXPECT_EQ(failure_of([](Json& j) { j["layers"][1]["decision"] = "maybe"; }),
            "layers[1].decision: 'maybe' is none of quantize, dynamic, fold, weight_only, float16, bfloat16, "
            "float32");
  EXPECT_EQ(failure_of([](Json& j) { j["prepared"][0]["decision"] = "gone"; }),
            "prepared[0].decision: 'gone' is none of computed_once, fold_into_weights, replace");
  EXPECT_EQ(failure_of([](Json& j) { j["layers"][1]["desicion"] = 1; }),
            "layers[1].desicion: unknown key; did you mean 'decision'?");
}

}  // namespace
}  // namespace narrow::plan
