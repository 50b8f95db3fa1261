#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/io/load.h"
#include "lib/plan/plan.h"
#include "tests/support/model_text.h"

namespace narrow::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// x -> Conv -> y, and of y a float Softmax s.
PrecisionPlan plan_of(const std::string& config_text) {
  graph::Model model = test::model_from_text(R"(
    <ir_version: 8, opset_import: ["" : 13]>
    agraph (float[1,1,2,2] x) => (float[1,1,2,2] y, float[1,1,2,2] s)
    <float[1,1,1,1] w = {2}> { [conv] y = Conv (x, w)  [soft] s = Softmax <axis = 1> (y) })");
  io::infer_shapes(model);
  const Json config = parse_json(config_text, "config");
  JsonObject object(config, "");
  const Rules rules = read_rules(object);
  const Ranges ranges{{"x", {.range = {-1, 1}, .calibrator = "given"}},
                      {"y", {.range = {-2, 2}, .calibrator = "given"}}};
  return make_plan(model, analyze::analyze(model), ranges, rules);
}

std::string failure_of(const std::string& config) {
  try {
    plan_of(config);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(IntegerIoTest, AllAreThoseThatAreQuantized) {
  EXPECT_THAT(plan_of("{}").form.integer_io, IsEmpty());
  EXPECT_THAT(plan_of(R"({"integer_io": "inputs"})").form.integer_io, ElementsAre("x"));
  EXPECT_THAT(plan_of(R"({"integer_io": "outputs"})").form.integer_io, ElementsAre("y"));
  EXPECT_THAT(plan_of(R"({"integer_io": "all"})").form.integer_io, ElementsAre("x", "y"));
  EXPECT_THAT(plan_of(R"({"integer_io": ["y"]})").form.integer_io, ElementsAre("y"));
}

TEST(IntegerIoTest, ANamedOneThatCanNotBeIsAnError) {
  EXPECT_EQ(failure_of(R"({"integer_io": ["z"]})"),
            "integer_io: the model has no input or output 'z'; did you mean 'x'?");
  EXPECT_EQ(failure_of(R"({"integer_io": ["w"]})"),
            "integer_io: the model has no input or output 'w'; did you mean 'x'?");
  EXPECT_EQ(failure_of(R"({"integer_io": ["s"]})"), "integer_io: nothing on integers makes 's'");
  EXPECT_EQ(failure_of(R"({"integer_io": ["x"], "rules": [{"match": {"op": "Conv"}, "keep": "float32"}]})"),
            "integer_io: nothing on integers reads 'x'");
}

TEST(IntegerIoTest, ThePlanKeepsTheForm) {
  const PrecisionPlan plan = plan_of(R"({"integer_io": "all", "format": "qoperator", "target": "generic"})");
  EXPECT_EQ(plan_from_json(to_json(plan)).form, plan.form);
  EXPECT_EQ(to_json(plan)["form"]["format"], "qoperator");
  EXPECT_FALSE(plan.form.microsoft);
}

}  // namespace
}  // namespace narrow::plan
