// narrow diff as a user runs it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr auto kEvaluate = " --eval tests/data/glyphs_eval.npy --labels tests/data/glyphs_eval_labels.npy";

/// Model, report, plan and table of a small run under `name`.
void make(const TemporaryFolder& folder, const std::string& name, const std::string& more) {
  const std::string base = folder.path(name);
  const Outcome outcome =
      run_narrow(kQuantize + kEvaluate + " --recovery none -o " + base + ".onnx --report " + base +
                 ".report.json --plan-out " + base + ".plan.json --calibration-out " + base + ".ranges.json " + more);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
}

TEST(DiffCommand, AReportAgainstAStoredBaseline) {
  const TemporaryFolder folder;
  make(folder, "a", "");
  make(folder, "b", "--set weights=int4");
  const std::string diff = "diff " + folder.path("a.report.json") + " " + folder.path("b.report.json") + " ";
  const Outcome same = run_narrow("diff " + folder.path("a.report.json") + " " + folder.path("a.report.json") +
                                  " --max-changes 0 --max-accuracy-drop 0");
  EXPECT_EQ(same.exit_code, 0) << same.err;
  EXPECT_THAT(same.out, HasSubstr("nothing changed"));
  const Outcome worse =
      run_narrow(diff + "--max-sqnr-drop 3 --max-size-growth 0 --report " + folder.path("d.xml") + " --format json");
  EXPECT_EQ(worse.exit_code, 1);
  EXPECT_THAT(worse.err, StartsWith("narrow: gate failed: max_sqnr_drop is "));
  const Json json = parse_json(worse.out, "stdout");
  EXPECT_EQ(json["kind"], "report");
  EXPECT_FALSE(json["passed"].get<bool>());
  EXPECT_TRUE(json["gates"][1]["passed"].get<bool>()) << "int4 is smaller";
  EXPECT_THAT(read_text(folder.path("d.xml")), HasSubstr(R"(tests="2" failures="1")"));
  // --no-speed: a gate on speed must not pass because nothing was measured.
  expect_error(run_narrow(diff + "--max-slowdown 10"), 2, HasSubstr("a.report.json' has no speed to compare"));
}

TEST(DiffCommand, PlansTablesAndModels) {
  const TemporaryFolder folder;
  make(folder, "a", "");
  make(folder, "b", "--method minmax");
  const auto diff = [&](const std::string& ending) {
    const Outcome outcome = run_narrow("diff " + folder.path("a" + ending) + " " + folder.path("b" + ending));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.out;
  };
  EXPECT_THAT(diff(".plan.json"), HasSubstr("calibrator  percentile 99.999 -> minmax"));
  EXPECT_THAT(diff(".ranges.json"), HasSubstr("calibrator.method      percentile -> minmax"));
  const std::string models = diff(".onnx");
  EXPECT_THAT(models, HasSubstr("(model)\ndifferent: "));
  EXPECT_THAT(models, testing::Not(HasSubstr("nodes:"))) << "the same nodes, other scales";
  const Outcome from_float = run_narrow("diff " + kModel + " " + folder.path("a.onnx"));
  EXPECT_THAT(from_float.out, HasSubstr("float32 -> int8 per channel"));
  EXPECT_THAT(from_float.out, HasSubstr("the float model is compared as quantizing reads it"));
}

TEST(DiffCommand, WhatCanNotBeComparedIsRefused) {
  const TemporaryFolder folder;
  const std::string plan =
      folder.write("p.json", "{\"format\": \"narrow-plan\",\n \"version\": 1,\n \"model_sha256\": 5}");
  const std::string other = folder.write("o.json", R"({"format": "narrow-config"})");
  const std::string report = folder.write("r.json", R"({"format": "narrow-report", "version": 1})");
  const std::string table = folder.write(
      "t.json",
      R"({"format": "narrow-calibration", "version": 2, "model_sha256": "", "data": "", "samples": 1, "values": {}})");
  expect_error(run_narrow("diff " + plan + " " + plan), 2, HasSubstr("p.json:3: model_sha256: expected a string"));
  expect_error(run_narrow("diff " + other + " " + other), 2, HasSubstr("o.json:1: format: diff knows"));
  expect_error(run_narrow("diff " + report + " " + table), 2, HasSubstr("t.json' a calibration table: diff compares"));
  expect_error(run_narrow("diff " + kModel + " " + table), 2, HasSubstr("glyphs.onnx' is a model and"));
  expect_error(run_narrow("diff " + table + " " + table + " --max-size-growth 3"), 2,
               HasSubstr("has no file size to compare: only reports and models have one"));
  expect_error(run_narrow("diff " + table + " " + table + " --max-changes -1"), 2,
               HasSubstr("--max-changes: -1 is not a number from 0 on"));
  expect_error(run_narrow("diff " + table + " missing.json"), 5, HasSubstr("missing.json"));
}

}  // namespace
}  // namespace narrow::test
