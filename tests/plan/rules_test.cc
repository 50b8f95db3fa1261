#include "lib/plan/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"

namespace narrow::plan {
namespace {

Rules rules_from(const std::string& text) {
  const Json json = parse_json(text, "config");
  JsonObject object(json, "");
  return read_rules(object);
}

std::string failure_of(const std::string& config) {
  try {
    rules_from(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

analyze::Analysis analysis_of(const std::vector<std::pair<std::string, std::string>>& nodes) {
  analyze::Analysis analysis;
  for (const auto& [name, op] : nodes) analysis.layers.push_back({.node = name, .op_type = op});
  return analysis;
}

TEST(RulesTest, CodebooksAndRounding) {
  const Rules rules = rules_from(R"({ "defaults": { "mode": "weight_only", "weights": {
      "type": "codebook", "entries": 8, "channels": 4, "rounding": "stochastic", "seed": 3 } } })");
  EXPECT_EQ(rules.defaults.weights, quant::QuantType::kCodebook);
  EXPECT_EQ(rules.defaults.entries, 8);
  EXPECT_EQ(rules.defaults.codebook_channels, 4);
  EXPECT_EQ(rules.defaults.rounding, Rounding::kStochastic);
  EXPECT_EQ(rules.defaults.seed, 3);
  EXPECT_THAT(failure_of(R"({ "defaults": { "weights": { "entries": 1 } } })"),
              testing::HasSubstr("defaults.weights.entries: must be from 2 to 256"));
  EXPECT_THAT(failure_of(R"({ "defaults": { "weights": { "channels": 0 } } })"),
              testing::HasSubstr("defaults.weights.channels: must be at least 1"));
  EXPECT_THAT(failure_of(R"({ "defaults": { "weights": { "rounding": "stochastik" } } })"),
              testing::HasSubstr("'stochastik' is none of half_even, stochastic, squant; did you mean 'stochastic'?"));
  EXPECT_THAT(failure_of(R"({ "defaults": { "activations": "binary" } })"),
              testing::HasSubstr("defaults.activations: 'binary' is none of int8"));
}

TEST(RulesTest, MethodsOfRecoveryByLayer) {
  const Rules rules = rules_from(R"({
    "rules": [ { "match": { "op": "Conv" }, "recovery": ["round", "smooth"] },
               { "match": { "name": "a" }, "recovery": "none" },
               { "match": { "name": "b" }, "recovery": "auto" } ] })");
  const auto resolved = resolve_rules(analysis_of({{"a", "Conv"}, {"b", "Conv"}, {"c", "Conv"}, {"d", "Gemm"}}), rules);
  EXPECT_EQ(resolved[0].scheme.recovery, RecoveryMethods{});
  EXPECT_THAT(resolved[0].trail, testing::Contains("recovery: none by rules[1] (name a)"));
  EXPECT_EQ(resolved[1].scheme.recovery, all_recovery_methods());
  EXPECT_EQ(resolved[2].scheme.recovery, (RecoveryMethods{RecoveryMethod::kSmooth, RecoveryMethod::kRound}));
  EXPECT_EQ(resolved[3].scheme.recovery, all_recovery_methods());
  EXPECT_EQ(failure_of(R"({"rules": [{"match": {"op": "Conv"}, "recovery": "some"}]})"),
            "rules[0].recovery: expected \"auto\", \"none\" or an array of methods");
  EXPECT_EQ(failure_of(R"({"rules": [{"match": {"op": "Conv"}, "recovery": ["rund"]}]})"),
            "rules[0].recovery: unknown method 'rund'; did you mean 'round'?");
}

TEST(RulesTest, TheLastMatchWins) {
  const Rules rules = rules_from(R"({
    "defaults": { "weights": "uint8" },
    "rules": [ { "match": { "op": "Conv" }, "granularity": "per_tensor" },
               { "match": { "name": "head/*" }, "keep": "float32", "reason": "fragile" } ] })");
  const auto resolved = resolve_rules(analysis_of({{"body/a", "Conv"}, {"head/x/b", "Conv"}, {"c", "Relu"}}), rules);
  EXPECT_EQ(resolved[0].scheme.granularity, Granularity::kPerTensor);
  EXPECT_EQ(resolved[0].rule, "rules[0] (op Conv)");
  EXPECT_FALSE(resolved[0].scheme.keep_float);
  EXPECT_TRUE(resolved[1].scheme.keep_float);
  EXPECT_EQ(resolved[1].scheme.granularity, Granularity::kPerTensor) << "rules add up";
  EXPECT_EQ(resolved[1].rule, "rules[1] (name head/*)");
  EXPECT_THAT(resolved[1].trail, testing::ElementsAre("granularity: per_channel -> per_tensor by rules[0] (op Conv)",
                                                      "keep: float32 by rules[1] (name head/*)"));
  EXPECT_TRUE(resolved[2].trail.empty());
  EXPECT_EQ(resolved[2].rule, "defaults");
  EXPECT_EQ(resolved[2].scheme.weights, quant::QuantType::kUint8);
}

TEST(RulesTest, WhatWasKeptIsQuantizedAgainByALaterMatch) {
  const Rules rules = rules_from(R"({
    "rules": [ { "match": { "name": "*" }, "keep": "float32", "reason": "for now" },
               { "match": { "name": "a" }, "mode": "weight_only" },
               { "match": { "name": "b" }, "weights": "int4" },
               { "match": { "name": "c" }, "calibrator": { "method": "mse" } } ] })");
  const auto resolved = resolve_rules(analysis_of({{"a", "Conv"}, {"b", "Conv"}, {"c", "Conv"}}), rules);
  EXPECT_FALSE(resolved[0].scheme.keep_float);
  EXPECT_EQ(resolved[0].scheme.keep_reason, "");
  EXPECT_THAT(resolved[0].trail, testing::Contains("keep: float32 -> none by rules[1] (name a)"));
  EXPECT_FALSE(resolved[1].scheme.keep_float);
  EXPECT_EQ(resolved[1].rule, "rules[2] (name b)");
  EXPECT_TRUE(resolved[2].scheme.keep_float) << "how it is calibrated does not say that it is";
  EXPECT_EQ(resolved[2].rule, "rules[0] (name *)") << "the rule that decided, not the last that matched";
}

TEST(RulesTest, RoundingToTheNearestIsSaidToo) {
  Rules rules = rules_from(R"({"rules": [{"match": {"op": "Conv"}, "weights": {"rounding": "half_even"}}]})");
  rules.defaults.rounding = Rounding::kSquant;
  EXPECT_THAT(resolve_rules(analysis_of({{"a", "Conv"}}), rules)[0].trail,
              testing::ElementsAre("weights.rounding: squant -> half_even by rules[0] (op Conv)"));
}

TEST(RulesTest, ARegexMatchesTheWholeName) {
  const Rules rules = rules_from(R"({"rules": [{"match": {"regex": "conv[0-9]+"}, "keep": "float32"}]})");
  const auto resolved = resolve_rules(analysis_of({{"conv12", "Conv"}, {"conv12b", "Conv"}}), rules);
  EXPECT_TRUE(resolved[0].scheme.keep_float);
  EXPECT_FALSE(resolved[1].scheme.keep_float);
}

TEST(RulesTest, NestedStarsTakeNoTimeOnALongName) {
  const Rules rules = rules_from(R"-({"rules": [{"match": {"regex": "(((a*)*)*b|(a|aa)+)"}, "keep": "float32"}]})-");
  const std::string name(5000, 'a');  // a backtracking matcher would still be at it when the sun goes out
  const auto resolved = resolve_rules(analysis_of({{name + "c", "Conv"}, {name, "Conv"}}), rules);
  EXPECT_FALSE(resolved[0].scheme.keep_float);
  EXPECT_TRUE(resolved[1].scheme.keep_float);
}

TEST(RulesTest, ARuleThatMatchesNothingIsAnErrorWithASuggestion) {
  Rules rules = rules_from(R"({"rules": [{"match": {"op": "Covn"}, "keep": "float32"}]})");
  rules.rules[0].place = "c.json:3";
  try {
    resolve_rules(analysis_of({{"a", "Conv"}}), rules);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "c.json:3: rules[0] (op Covn) matches no node; did you mean 'Conv'?");
  }
}

TEST(RulesTest, AnOptionalRuleMayMatchNothing) {
  const Rules rules = rules_from(R"({"rules": [{"match": {"op": "Covn"}, "keep": "float32", "optional": true}]})");
  EXPECT_EQ(resolve_rules(analysis_of({{"a", "Conv"}}), rules)[0].rule, "defaults");
}

TEST(RulesTest, WhatIsWrongIsNamedByItsPath) {
  EXPECT_EQ(failure_of(R"({"defaults": {"weights": "int9"}})"),
            "defaults.weights: 'int9' is none of int8, uint8, int16, uint16, int4, uint4, int2, uint2, float8e4m3fn, "
            "float8e5m2, float4e2m1, binary, codebook; did you mean 'int8'?");
  EXPECT_EQ(failure_of(R"({"defaults": {"granularty": "per_tensor"}})"),
            "defaults.granularty: unknown key; did you mean 'granularity'?");
  EXPECT_EQ(failure_of(R"({"defaults": {"granularity": "per_row"}})"),
            "defaults.granularity: 'per_row' is none of per_tensor, per_channel, per_block");
  EXPECT_EQ(failure_of(R"({"rules": {}})"), "rules: expected an array");
  EXPECT_EQ(failure_of(R"({"rules": [{"keep": "float32"}]})"), "rules[0].match: is missing");
  EXPECT_EQ(failure_of(R"({"rules": [{"match": {}, "keep": "float32"}]})"),
            "rules[0].match: needs a condition, such as name, regex or op");
  EXPECT_EQ(failure_of(R"({"rules": [{"match": {"op": "Conv"}, "keep": "float16"}]})"),
            "rules[0].keep: 'float16' is not float32");
  EXPECT_EQ(failure_of(R"({"rules": [{"match": {"regex": "("}}]})"),
            "rules[0].match.regex: '(' is not a regular expression: missing ): (");
  EXPECT_EQ(failure_of(R"({"calibration": {"method": "entropi"}})"),
            "calibration.method: unknown calibration method 'entropi'; did you mean 'entropy'?");
  EXPECT_EQ(failure_of(R"({"calibration": {"percentile": 101}})"),
            "calibration.percentile: must be above 50 and at most 100");
}

}  // namespace
}  // namespace narrow::plan
