// The schemas in configs/ accept what narrow reads and writes, and refuse what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "apps/config.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"
#include "tests/support/json_schema.h"

namespace narrow::test {
namespace {

using testing::IsEmpty;

Json schema(const std::string& name) {
  return read_json("configs/" + name + ".schema.json");
}

TEST(Schemas, TheValidatorSaysNo) {
  const Json rules = parse_json(R"({"type": "object", "required": ["a"], "additionalProperties": false,
    "properties": {"a": {"type": ["integer", "null"], "minimum": 1}, "b": {"$ref": "#/definitions/b"}},
    "definitions": {"b": {"anyOf": [{"enum": ["x"]}, {"type": "array", "items": {"const": 2}, "minItems": 2}]}}})",
                                "schema");
  const auto violations = [&](const char* value) { return schema_violations(rules, parse_json(value, "value")); };
  EXPECT_THAT(violations(R"({"a": 1, "b": "x"})"), IsEmpty());
  EXPECT_THAT(violations(R"({"a": null, "b": [2, 2]})"), IsEmpty());
  EXPECT_THAT(violations("[]"), testing::ElementsAre("$: is no \"object\""));
  EXPECT_THAT(violations("{}"), testing::ElementsAre("$: lacks \"a\""));
  EXPECT_THAT(violations(R"({"a": 0})"), testing::ElementsAre("$.a: is below 1"));
  EXPECT_THAT(violations(R"({"a": 1.5})"), testing::SizeIs(1));
  EXPECT_THAT(violations(R"({"a": 1, "c": 1})"), testing::ElementsAre("$.c: is not allowed"));
  EXPECT_THAT(violations(R"({"a": 1, "b": [2]})"), testing::ElementsAre("$.b: fits none of the choices"));
}

TEST(Schemas, EveryReadyConfigIsValid) {
  const Json config_schema = schema("config");
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    if (entry.path().string().ends_with(".schema.json")) continue;
    EXPECT_THAT(schema_violations(config_schema, read_json(entry.path())), IsEmpty()) << entry.path();
  }
  EXPECT_THAT(schema_violations(config_schema, read_json(kConfig)), IsEmpty());
}

TEST(Schemas, WhatNarrowWritesIsValid) {
  const TemporaryFolder folder;
  const std::string base = folder.path("a");
  for (const std::string more : {"--recovery none", "--set mode=dynamic", "--set weights=int4 --set weights.block=32",
                                 "--set target=openvino", "--set format=qoperator"}) {
    const Outcome outcome =
        run_narrow(kQuantize + " " + more + " -o " + base + ".onnx --report " + base + ".report.json --plan-out " +
                   base + ".plan.json --calibration-out " + base + ".calibration.json");
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    for (const char* kind : {"report", "plan", "calibration"}) {
      EXPECT_THAT(schema_violations(schema(kind), read_json(base + "." + kind + ".json")), IsEmpty()) << kind << more;
    }
  }
  const std::string plan = base + ".plan.json";
  const Outcome diff = run_narrow("diff " + plan + " " + plan + " --max-changes 0 --format json");
  EXPECT_THAT(schema_violations(schema("diff"), parse_json(diff.out, "diff")), IsEmpty());
  const Outcome changed = run_narrow("diff " + kModel + " " + base + ".onnx --format json");
  EXPECT_THAT(schema_violations(schema("diff"), parse_json(changed.out, "diff")), IsEmpty());
}

TEST(Schemas, WhatTuneWritesIsValid) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow("tune " + kModel + " --data " + kData + " --config " + kConfig +
                                     " --samples 48 --no-speed --trials 1 --recovery none --min-sqnr 20 -o " +
                                     folder.path("a.onnx") + " --report " + folder.path("r.json"));
  ASSERT_LE(outcome.exit_code, 1) << outcome.err;
  const Json report = read_json(folder.path("r.json"));
  EXPECT_EQ(report["command"], "tune");
  EXPECT_THAT(schema_violations(schema("report"), report), IsEmpty());
}

TEST(Schemas, WhatTheReaderRefusesTheSchemaRefuses) {
  const Json config_schema = schema("config");
  const char* configs[] = {
      R"([])",
      R"({"modes": 1})",
      R"({"target": "tpu"})",
      R"({"calibration": {"samples": 0}})",
      R"({"calibration": {"sample": 5}})",
      R"({"calibration": {"method": "entropi"}})",
      R"({"calibration": {"percentile": 50}})",
      R"({"defaults": {"mode": "weights_only"}})",
      R"({"defaults": {"weights": "int9"}})",
      R"({"defaults": {"weights": {"type": "in8"}}})",
      R"({"defaults": {"weights": {"block": 1}}})",
      R"({"defaults": {"weights": {"symmetric": 1}}})",
      R"({"defaults": {"activations": {"block": 32}}})",
      R"({"defaults": {"granularity": "per_chanel"}})",
      R"({"defaults": {"keep": "float32"}})",
      R"({"rules": {}})",
      R"({"rules": [{"keep": "float32"}]})",
      R"({"rules": [{"match": {}}]})",
      R"({"rules": [{"match": {"op": "Conv"}, "keep": "int8"}]})",
      R"({"rules": [{"match": {"between": ["a"]}}]})",
      R"({"recovery": "some"})",
      R"({"recovery_seconds": 0})",
      R"({"inputs": {"x": {"color": "CMYK"}}})",
      R"({"gates": {"min_sqnr": 20}})",
      R"({"gates": {"min_agreement": 97}})",
  };
  for (const char* text : configs) {
    EXPECT_THROW(apps::make_config(apps::ConfigSource("c.json", text), {}), Error) << text;
    EXPECT_THAT(schema_violations(config_schema, parse_json(text, "c.json")), testing::Not(IsEmpty())) << text;
  }
}

}  // namespace
}  // namespace narrow::test
