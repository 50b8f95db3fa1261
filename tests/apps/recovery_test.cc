// Recovery as a user meets it: on by default, recorded in the plan, repeated by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

const std::string kRecover = "quantize " + kModel + " --data " + kData + " --config " + kConfig +
                             " --samples 40 --no-speed --quiet --format json";

TEST(Recovery, IsNeverWorseThanNearestRoundingAndSaysWhatItGained) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRecover + " -o " + folder.path("out.onnx"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json recovery = parse_json(outcome.out, "stdout")["recovery"];
  EXPECT_EQ(recovery["held_samples"], 5);
  EXPECT_EQ(recovery["trials"][0]["steps"], "plain");
  double chosen = 0;
  for (const Json& trial : recovery["trials"]) {
    if (trial["steps"] == recovery["chosen"]) chosen = trial["sqnr_db"].get<double>();
  }
  EXPECT_GE(chosen, recovery["trials"][0]["sqnr_db"].get<double>());
}

TEST(Recovery, ItsPlanRepeatsItAtAnyThreadCountAndNeedsTheData) {
  const TemporaryFolder folder;
  folder.write("c.json", R"({"recovery": ["equalize", "round"]})");
  const std::string base = "quantize " + kModel + " --data " + kData + " --samples 40 --no-speed --quiet -o ";
  const Outcome first = run_narrow(base + folder.path("a.onnx") + " --config " + folder.path("c.json") +
                                   " --threads 1 --plan-out " + folder.path("p.json"));
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_THAT(read_text(folder.path("p.json")), HasSubstr("\"recovery\""));
  const Outcome again = run_narrow(base + folder.path("b.onnx") + " --threads 3 --plan " + folder.path("p.json"));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
  expect_error(
      run_narrow("quantize " + kModel + " --quiet -o " + folder.path("c.onnx") + " --plan " + folder.path("p.json")), 2,
      HasSubstr("need the calibration data: give --data"));
}

TEST(Recovery, NoneRoundsToTheNearest) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRecover + " --recovery none -o " + folder.path("out.onnx"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(parse_json(outcome.out, "stdout")["recovery"].is_null());
  const Outcome refused = run_narrow(kRecover + " --recovery some -o " + folder.path("out.onnx"));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("'some' is none of auto, none"));
}

}  // namespace
}  // namespace narrow::test
