// narrow sensitivity on the small real case of tests/data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"
#include "tests/support/json_schema.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

const std::string kOptions =
    kModel + " --data " + kData + " --config " + kConfig + " --samples 48 --quiet --recovery none";
const std::string kUnmeasured = "sensitivity " + kOptions;
const std::string kSensitivity = kUnmeasured + " --measured 24";
const std::string kLabelled = "sensitivity " + kModel + " --data tests/data/glyphs_eval.npy --config " + kConfig +
                              " --labels tests/data/glyphs_eval_labels.npy --samples 100 --quiet --recovery none";

Json table(const std::string& command) {
  const Outcome outcome = run_narrow(command + " --format json");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout");
}

Json row(const Json& table, const std::string& kind, const std::string& name) {
  for (const Json& row : table["rows"]) {
    if (row["kind"] == kind && row["name"] == name) return row;
  }
  ADD_FAILURE() << "no row " << kind << " " << name;
  return {};
}

/// SQNR on the validated samples of the model in which the config quantizes what the rules leave to it.
double validated_db(const TemporaryFolder& folder, const std::string& rules) {
  const std::string config = folder.write(
      "rules.json", R"({"extends": ")" + std::filesystem::absolute(kConfig).string() + R"(", "rules": )" + rules + "}");
  const Outcome outcome = run_narrow("quantize " + kModel + " --data " + kData + " --config " + config +
                                     " --samples 48 --no-speed --quiet --recovery none --eval " + kData +
                                     " --format json -o " + folder.path("q.onnx"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return parse_json(outcome.out, "stdout")["validation"]["outputs"][0]["sqnr_db"].get<double>();
}

TEST(SensitivityTable, IsWhatQuantizingWithRulesDoes) {
  const TemporaryFolder folder;
  const Json all = table(kUnmeasured + " --measured 48");
  const std::string worst = all["rows"][0]["kind"] == "layer" ? all["rows"][0]["name"] : all["rows"][1]["name"];
  const Json noisiest = row(all, "layer", worst);
  // Other samples (all of the data) and integer kernels: near, not equal.
  EXPECT_NEAR(all["all_quantized"]["sqnr_db"].get<double>(), validated_db(folder, "[]"), 1.5);
  const std::string keep = R"({"match": {"name": ")" + worst + R"("}, "keep": "float32"})";
  EXPECT_NEAR(noisiest["left_float_alone"]["sqnr_db"].get<double>(), validated_db(folder, "[" + keep + "]"), 1.5);
  const std::string rest = R"({"match": {"not": [{"name": ")" + worst + R"("}]}, "keep": "float32"})";
  EXPECT_NEAR(noisiest["quantized_alone"]["sqnr_db"].get<double>(), validated_db(folder, "[" + rest + "]"), 1.5);
  EXPECT_GT(noisiest["gain_db"].get<double>(), 0);
}

TEST(SensitivityTable, FollowsItsSchemaAndCountsLabels) {
  const Json labelled = table(kLabelled + " --group '*'");
  EXPECT_THAT(schema_violations(read_json("configs/sensitivity.schema.json"), labelled), testing::IsEmpty());
  EXPECT_GT(labelled["float_top1"].get<double>(), 0.8);
  const Json all = row(labelled, "group", "*");
  EXPECT_EQ(all["quantized_alone"], labelled["all_quantized"]);
  EXPECT_EQ(all["left_float_alone"]["sqnr_db"], "inf");
  EXPECT_EQ(all["left_float_alone"]["top1"], labelled["float_top1"]);
  EXPECT_TRUE(table(kSensitivity)["float_top1"].is_null());
}

TEST(SensitivityTable, ServesTuneAndGoesOn) {
  const TemporaryFolder folder;
  const std::string trail = folder.path("trail.json");
  const Json whole = table(kSensitivity + " --threads 1 --trail " + trail);
  const std::string written = read_text(trail);
  Json half = parse_json(written, "trail");
  half["groups"].erase(half["groups"].begin() + 3, half["groups"].end());
  half["sensitivity"].erase(half["sensitivity"].begin() + 2, half["sensitivity"].end());
  write_file(trail, json_text(half));
  Json resumed = table(kSensitivity + " --threads 2 --trail " + trail);
  EXPECT_EQ(resumed["rows"], whole["rows"]);
  EXPECT_EQ(resumed["tensors"], whole["tensors"]);
  EXPECT_EQ(read_text(trail), written);
  const std::string tune = "tune " + kOptions + " --no-speed --trials 4 --min-sqnr 30 -o ";
  EXPECT_EQ(run_narrow(tune + folder.path("a.onnx")).exit_code, 0);
  EXPECT_EQ(run_narrow(tune + folder.path("b.onnx") + " --sensitivity " + trail).exit_code, 0);
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
  expect_error(run_narrow(kUnmeasured + " --measured 7 --trail " + trail), 2, HasSubstr("24 samples, not 7"));
}

TEST(SensitivityTable, RefusesWhatItCanNotDo) {
  expect_error(run_narrow("sensitivity " + kModel), 2, HasSubstr("--data"));
  expect_error(run_narrow(kSensitivity + " --group 'nothing*'"), 2, HasSubstr("nothing*"));
  expect_error(run_narrow(kUnmeasured + " --measured 0"), 2, HasSubstr("--measured"));
  expect_error(run_narrow(kSensitivity + " --report a.xml"), 2, HasSubstr("JUnit"));
  EXPECT_FALSE(std::filesystem::exists("a.xml"));
}

TEST(SensitivityTable, IsForPeopleToo) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kLabelled + " --report " + folder.path("t.html"));
  EXPECT_THAT(outcome.out, HasSubstr("all quantized: "));
  EXPECT_THAT(outcome.out, HasSubstr("top-1"));
  EXPECT_THAT(read_text(folder.path("t.html")), HasSubstr("<table"));
}

}  // namespace
}  // namespace narrow::test
