#include "lib/plan/match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"

namespace narrow::plan {
namespace {

using testing::ElementsAre;

/// image -> stem (Conv, 10 weights) -> a -> left (Conv, 100) -> b -> join (Add of b and c) -> y -> head (Gemm, 1000) ->
/// out
///                                  a -> right (Relu) -> c
analyze::Analysis sample() {
  analyze::Analysis analysis;
  const auto add = [&](const std::string& node, const std::string& op, std::vector<std::string> reads,
                       const std::string& makes, int64_t depth, int64_t parameters) {
    analyze::Layer layer{.node = node, .op_type = op};
    layer.reads = std::move(reads);
    layer.makes = {makes};
    layer.depth = depth;
    layer.parameters = parameters;
    if (parameters > 0) layer.stored_weight = analyze::ConstantSlot{.input = 1, .initializer = node + "_w"};
    analysis.layer_of[node] = analysis.layers.size();
    analysis.layers.push_back(std::move(layer));
  };
  add("stem", "Conv", {"image", "stem_w"}, "a", 1, 10);
  add("left", "Conv", {"a", "left_w"}, "b", 2, 100);
  add("right", "Relu", {"a"}, "c", 2, 0);
  add("join", "Add", {"b", "c"}, "y", 3, 0);
  add("head", "Gemm", {"y", "head_w"}, "out", 4, 1000);
  return analysis;
}

Match match_of(const std::string& text) {
  const Json json = parse_json(text, "match");
  return read_match(JsonObject(json, "match"));
}

std::vector<std::string> found(const std::string& text) {
  const analyze::Analysis analysis = sample();
  const Match match = match_of(text);
  const Matcher matcher(match, analysis);
  std::vector<std::string> names;
  for (size_t i = 0; i < analysis.layers.size(); ++i) {
    if (matcher.matches(i)) names.push_back(analysis.layers[i].node);
  }
  return names;
}

std::string failure_of(const std::string& text) {
  try {
    found(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(MatchTest, ByNamesAndValues) {
  EXPECT_THAT(found(R"({"name": "*t"})"), ElementsAre("left", "right"));
  EXPECT_THAT(found(R"({"op": "Conv", "regex": "s.*"})"), ElementsAre("stem"));
  EXPECT_THAT(found(R"({"tensor": "a"})"), ElementsAre("stem", "left", "right")) << "made or read";
  EXPECT_THAT(found(R"({"tensor": "*_w"})"), ElementsAre("stem", "left", "head"));
}

TEST(MatchTest, ByPlaceAndSize) {
  EXPECT_THAT(found(R"({"first": 1})"), ElementsAre("stem"));
  EXPECT_THAT(found(R"({"last": 2})"), ElementsAre("left", "head")) << "only nodes with a weight count";
  EXPECT_THAT(found(R"({"min_parameters": 100})"), ElementsAre("left", "head"));
  EXPECT_THAT(found(R"({"min_parameters": 1, "max_parameters": 99})"), ElementsAre("stem"));
  EXPECT_THAT(found(R"({"min_depth": 2, "max_depth": 3})"), ElementsAre("left", "right", "join"));
}

TEST(MatchTest, InBodiesOfANode) {
  analyze::Analysis analysis;
  analysis.layers = {{.node = "gates", .op_type = "LSTM", .inside = {"outer_if", "loop"}},
                     {.node = "loop", .op_type = "Loop", .inside = {"outer_if"}},
                     {.node = "outer_if", .op_type = "If"}};
  const auto inside = [&](const std::string& text) {
    const Match match = match_of(text);
    const Matcher matcher(match, analysis);
    return std::vector<bool>{matcher.matches(0), matcher.matches(1), matcher.matches(2)};
  };
  EXPECT_THAT(inside(R"({"subgraph": "outer*"})"), ElementsAre(true, true, false))
      << "at any depth, not the node itself";
  EXPECT_THAT(inside(R"({"subgraph": "loop"})"), ElementsAre(true, false, false));
  EXPECT_THAT(inside(R"({"not": {"subgraph": "*"}})"), ElementsAre(false, false, true));
}

TEST(MatchTest, BetweenTwoValues) {
  EXPECT_THAT(found(R"({"between": ["a", "y"]})"), ElementsAre("left", "right", "join"));
  EXPECT_THAT(found(R"({"between": ["b", "out"]})"), ElementsAre("join", "head"));
  EXPECT_THAT(found(R"({"between": ["out", "image"]})"), ElementsAre());
}

TEST(MatchTest, AllAnyNot) {
  EXPECT_THAT(found(R"({"any": [{"op": "Relu"}, {"name": "head"}]})"), ElementsAre("right", "head"));
  EXPECT_THAT(found(R"({"not": {"op": "Conv"}})"), ElementsAre("right", "join", "head"));
  EXPECT_THAT(found(R"({"op": "Conv", "not": [{"first": 1}]})"), ElementsAre("left"));
  EXPECT_THAT(found(R"({"all": [{"min_depth": 2}, {"any": [{"op": "Conv"}, {"op": "Gemm"}]}]})"),
              ElementsAre("left", "head"));
}

TEST(MatchTest, TheTextNamesEveryCondition) {
  EXPECT_EQ(match_text(match_of(R"({"op": "Conv", "last": 2, "not": {"name": "head/*"}, "between": ["a", "b"]})")),
            "op Conv, last 2, between a and b, not (name head/*)");
}

TEST(MatchTest, WhatIsWrongIsNamedByItsPath) {
  EXPECT_EQ(failure_of("{}"), "match: needs a condition, such as name, regex or op");
  EXPECT_EQ(failure_of(R"({"nmae": "a"})"), "match.nmae: unknown key; did you mean 'name'?");
  EXPECT_EQ(failure_of(R"({"first": 0})"), "match.first: must be at least 1");
  EXPECT_EQ(failure_of(R"({"last": "two"})"), "match.last: expected an integer");
  EXPECT_EQ(failure_of(R"({"between": ["a"]})"), "match.between: expected the names of two values");
  EXPECT_EQ(failure_of(R"({"between": ["a", "yy"]})"), "match.between: the model has no value 'yy'; did you mean 'y'?");
  EXPECT_EQ(failure_of(R"({"any": []})"), "match.any: needs at least one condition");
  EXPECT_EQ(failure_of(R"({"any": [{"op": 3}]})"), "match.any[0].op: expected a string");
  EXPECT_EQ(failure_of(R"({"not": {"regex": "["}})"), "match.not.regex: '[' is not a regular expression: missing ]: [");
}

}  // namespace
}  // namespace narrow::plan
