// Differences between our JSON files, spelled out by hand.
#include <gtest/gtest.h>

#include "lib/base/json.h"
#include "lib/diff/compare.h"
#include "lib/diff/render.h"

namespace narrow::diff {
namespace {

const Group& group(const std::vector<Group>& groups, const std::string& name) {
  for (const Group& one : groups) {
    if (one.name == name) return one;
  }
  throw Error(ErrorKind::kInternal, "no group {}", name);
}

TEST(Compare, WordsFollowTheFieldsUnit) {
  EXPECT_EQ(change_text("file_bytes", 2000, 1000), "2,000 -> 1,000 (-50 %)");
  EXPECT_EQ(change_text("agreement", 0.98, 0.97), "98.0 % -> 97.0 % (-1.00 points)");
  EXPECT_EQ(change_text("sqnr_db", 30.5, 28.25), "30.50 -> 28.25 dB (-2.25)");
  EXPECT_EQ(change_text("zero_point", 128, 127), "128 -> 127");
  EXPECT_EQ(change_text("scale", 0.5, 0.25), "0.5 -> 0.25 (-50 %)");
  EXPECT_EQ(change_text("scale", 1.00000001, 1.00000002), "1.00000001 -> 1.00000002 (+1e-06 %)") << "both would read 1";
  EXPECT_EQ(change_text("rule", "defaults", Json()), "defaults -> none");
  EXPECT_EQ(change_text("outputs", Json{"a"}, Json{"a", "b"}), "[a] -> [a, b]");
  EXPECT_EQ(change_text("scales", Json{1, 2, 3, 4, 5, 6, 8.0}, Json{1, 2, 3, 4, 5, 6, 6.0}),
            "1 of 7 differ, by 25 % at most");
  EXPECT_EQ(change_text("scales", Json{1, 2, 3, 4, 5, 6, 7}, Json{1}), "7 elements -> [1]");
}

TEST(Compare, ThingsAreMatchedByNameInStableOrder) {
  const Json one{{"x", 1}};
  const Json two{{"x", 2}};
  const Group group = compare_entries("things", {{"c", "", &one}, {"a", "", &one}, {"b", "", &one}},
                                      {{"z", "", &one}, {"b", "", &one}, {"c", "", &two}, {"c", "", &one}}, {});
  EXPECT_EQ(group.same, 1);
  ASSERT_EQ(group.changed.size(), 1U);
  EXPECT_EQ(group.changed[0].name, "c");
  EXPECT_EQ(group.changed[0].changes[0].what, "x");
  ASSERT_EQ(group.removed.size(), 1U);
  EXPECT_EQ(group.removed[0].name, "a");
  ASSERT_EQ(group.added.size(), 2U);
  EXPECT_EQ(group.added[0].name, "z");
  EXPECT_EQ(group.added[1].name, "c (2)") << "the second of this name";
}

Json plan_json() {
  return parse_json(R"({"format": "narrow-plan", "version": 1, "model_sha256": "aa",
    "layers": [{"node": "conv", "op": "Conv", "decision": "quantize", "rule": "defaults",
                "weights": {"type": "int8", "scales": [0.5]}},
               {"node": "head", "op": "Gemm", "decision": "quantize", "rule": "defaults"}],
    "values": [{"value": "x", "scale": 0.25, "zero_point": 0}]})",
                    "plan");
}

TEST(DiffFiles, PlansAreComparedLayerByLayer) {
  Json after = plan_json();
  after["layers"][1]["decision"] = "float32";
  after["layers"][1]["reason"] = {{"code", "kept_by_rule"}, {"text", "kept in float32 by a rule"}};
  after["values"][0]["zero_point"] = 1;
  const std::vector<Group> groups = compare_files(Kind::kPlan, plan_json(), after);
  const Group& layers = group(groups, "layers");
  EXPECT_EQ(layers.same, 1);
  ASSERT_EQ(layers.changed.size(), 1U);
  EXPECT_EQ(layers.changed[0].name, "head");
  EXPECT_EQ(layers.changed[0].detail, "Gemm");
  ASSERT_EQ(layers.changed[0].changes.size(), 2U);
  EXPECT_EQ(layers.changed[0].changes[0].text, "quantize -> float32");
  EXPECT_EQ(layers.changed[0].changes[1].what, "reason.text") << "the code says nothing more";
  EXPECT_EQ(group(groups, "values").changed[0].changes[0].text, "0 -> 1");
  EXPECT_EQ(group(groups, "the plan itself").differences(), 0);
}

TEST(DiffFiles, NothingChangedSaysSo) {
  Diff diff{
      .kind = Kind::kPlan, .before = "a", .after = "b", .groups = compare_files(Kind::kPlan, plan_json(), plan_json())};
  EXPECT_EQ(diff.differences(), 0);
  EXPECT_EQ(report::render_text(to_document(diff, {})), "a -> b (plan)\nnothing changed\n");
  const Json json = parse_json(render(diff, {}, report::ReportFormat::kJson), "json");
  EXPECT_EQ(json["format"], "narrow-diff");
  EXPECT_EQ(json["differences"], 0);
  EXPECT_TRUE(json["passed"].get<bool>());
}

TEST(DiffFiles, TextNamesWhatChangedAndJsonHasBothValues) {
  Json after = plan_json();
  after["layers"][0]["weights"]["type"] = "int4";
  after["layers"].erase(1);
  const Diff diff{
      .kind = Kind::kPlan, .before = "a", .after = "b", .groups = compare_files(Kind::kPlan, plan_json(), after)};
  EXPECT_EQ(report::render_text(to_document(diff, {})),
            "a -> b (plan)\ndifferent: 2 of 2 in layers\n\nlayers: 1 changed, 1 removed\n"
            "  conv  Conv  weights.type  int8 -> int4\n  head  Gemm                removed\n");
  const Json change = to_json(diff)["groups"][1]["changed"][0]["changes"][0];
  EXPECT_EQ(change["before"], "int8");
  EXPECT_EQ(change["after"], "int4");
  EXPECT_EQ(to_json(diff)["groups"][1]["removed"][0]["name"], "head");
}

TEST(DiffFiles, TablesAndReportsHaveTheirOwnGroups) {
  const Json table =
      parse_json(R"({"format": "narrow-calibration", "samples": 10, "values": {"x": {"rmax": 1.5}}})", "t");
  Json other = table;
  other["values"]["x"]["rmax"] = 3.0;
  EXPECT_EQ(group(compare_files(Kind::kCalibration, table, other), "values").changed[0].changes[0].text,
            "1.5 -> 3 (+100 %)");
  const Json report = parse_json(R"({"format": "narrow-report", "passed": true, "stages": [{"seconds": 1}],
    "validation": {"outputs": [{"name": "y", "sqnr_db": "inf"}], "speed": null}, "warnings": ["a"]})",
                                 "r");
  Json worse = report;
  worse["validation"]["outputs"][0]["sqnr_db"] = 40.0;
  worse["stages"][0]["seconds"] = 2;
  worse["warnings"] = {"a", "b"};
  const std::vector<Group> groups = compare_files(Kind::kReport, report, worse);
  EXPECT_EQ(group(groups, "accuracy").changed[0].changes[0].text, "inf -> 40");
  EXPECT_EQ(group(groups, "warnings").added[0].name, "b");
  EXPECT_EQ(group(groups, "the report itself").differences(), 0) << "seconds are not compared";
}

TEST(DiffFiles, TheKindIsFoundByContent) {
  EXPECT_EQ(kind_of(plan_json()), Kind::kPlan);
  EXPECT_EQ(kind_of(Json{{"format", "narrow-report"}}), Kind::kReport);
  EXPECT_EQ(kind_of(Json{{"format", "narrow-calibration"}}), Kind::kCalibration);
  EXPECT_FALSE(kind_of(Json{{"format", "narrow-sensitivity"}}));
  EXPECT_FALSE(kind_of(Json{{"format", ""}}));
  EXPECT_FALSE(kind_of(Json::array()));
}

}  // namespace
}  // namespace narrow::diff
