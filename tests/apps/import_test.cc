// narrow import as a user runs it; that the ranges and scales are onnxruntime's is in tests/peers/import_test.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

struct Import {
  TemporaryFolder folder;

  Outcome run(const std::string& options) const {
    return run_narrow("import " + kModel + " -o " + folder.path("c.json") + " --quiet " + options);
  }
  Json config() const { return read_json(folder.path("c.json")); }
};

TEST(ImportCommand, ExcludedNodesStayFloat) {
  const Import import;
  const std::string list = import.folder.write("x.txt", "# the head\n/classifier\n\n  /stem/conv  \n/stem/bn\n");
  const Outcome outcome = import.run("--nodes-to-exclude " + list);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json rules = import.config()["rules"];
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0]["match"]["name"], "/classifier");
  EXPECT_EQ(rules[0]["keep"], "float32");
  EXPECT_THAT(outcome.out, HasSubstr("node '/stem/bn' is folded into another"));
  const Outcome dry =
      run_narrow("plan " + kModel + " --dry-run --format json --config " + import.folder.path("c.json"));
  int kept = 0;
  const Json plan = parse_json(dry.out, "stdout");
  for (const Json& layer : plan["layers"]) kept += layer["rule"].get<std::string>().starts_with("rules[") ? 1 : 0;
  EXPECT_EQ(kept, 2);
  const std::string json_list = import.folder.write("x.json", R"(["/classifier"])");
  EXPECT_EQ(import.run("--nodes-to-exclude " + json_list).exit_code, 0);
  EXPECT_EQ(import.config()["rules"].size(), 1U);
}

TEST(ImportCommand, OverridesBecomeRulesForTheNodesThatHaveTheSettings) {
  const Import import;
  const std::string overrides = import.folder.write("o.json", R"({
    "/block3/pointwise/relu6_output": [{"quant_type": "QUInt16", "symmetric": false}],
    "classifier.weight": [{"quant_type": "QuantType.QUInt8", "symmetric": false, "axis": 0}],
    "head.conv.weight": [{"reduce_range": true}],
    "stem.bn.weight": [{"quant_type": "QInt8"}]})");
  const Outcome outcome = import.run("--tensor-quant-overrides " + overrides);
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(import.config(), parse_json(R"({"rules": [
    {"match": {"name": "/block3/pointwise/conv"}, "activations": {"type": "uint16", "symmetric": false}},
    {"match": {"name": "/classifier"}, "weights": {"type": "uint8", "symmetric": false}, "granularity": "per_channel"},
    {"match": {"name": "/head/conv"}, "weights": {"reduce_range": true}, "granularity": "per_tensor"}]})",
                                        "expected"));
  EXPECT_THAT(outcome.out, HasSubstr("tensor 'stem.bn.weight': no layer takes it as a quantized weight"));
  const std::string axis = import.folder.write("a.json", R"({"classifier.weight": [{"axis": 1}]})");
  expect_error(import.run("--tensor-quant-overrides " + axis), 2, HasSubstr("scales along axis 1 have no equivalent"));
  const std::string other = import.folder.write("b.json", R"({"none": [{"quant_type": "QInt8"}]})");
  expect_error(import.run("--tensor-quant-overrides " + other), 2, HasSubstr("the model has no tensor 'none'"));
}

TEST(ImportCommand, WhatHasNoEquivalentIsRefusedByLine) {
  const Import import;
  const auto failure = [&](const std::string& json) {
    const Outcome outcome = import.run("--tensor-quant-overrides " + import.folder.write("o.json", json));
    EXPECT_EQ(outcome.exit_code, 2) << json;
    return outcome.err;
  };
  EXPECT_THAT(failure("{\n \"x\": [\n {\"convert\": {\"quant_type\": \"QUInt8\"}}]}"),
              HasSubstr("o.json:3: x[0].convert: has no equivalent"));
  EXPECT_THAT(failure("{\"x\": [{\"quant_type\": \"QInt7\"}]}"),
              HasSubstr("o.json:1: x[0].quant_type: unknown type 'int7'"));
  EXPECT_THAT(failure("{\"x\": [{\"scale\": 0.1}]}"), HasSubstr("x[0]: needs both scale and zero_point"));
  EXPECT_THAT(failure("{\"x\": [{\"axis\": 0, \"rmin\": 0, \"rmax\": 1}, {\"rmin\": 0, \"rmax\": 2}]}"),
              HasSubstr("x[0]: ranges and scales of single channels have no equivalent"));
  EXPECT_THAT(failure("{\"x\": [{\"symetric\": true}]}"), HasSubstr("unknown key; did you mean 'symmetric'?"));
  EXPECT_THAT(failure("{\"image\": [{\"quant_type\": \"QInt8\"}]}"),
              HasSubstr("tensor 'image': the type of a graph input"));
  EXPECT_THAT(failure("{\"image\": [{\"rmin\": -1, \"rmax\": 1}]}"), HasSubstr("give --calibration-table"));
  const std::string list = import.folder.write("x.txt", "/clasifier\n");
  expect_error(import.run("--nodes-to-exclude " + list), 2,
               HasSubstr("no node '/clasifier'; did you mean '/classifier'?"));
  expect_error(import.run(""), 2, HasSubstr("give --nodes-to-exclude"));
}

TEST(ImportCommand, ATableLacksNothingAndNothingIsDroppedUnsaid) {
  const Import import;
  const std::string small = import.folder.write(
      "calibration.json", R"({"image": {"CLS": "TensorData", "lowest": {"data": [-1.0], "dtype": "float32"},
                              "highest": {"data": 1.0, "dtype": "float32", "CLS": "numpy.array"}}})");
  expect_error(import.run("--calibration-table " + small + " --calibration-out " + import.folder.path("r.json")), 2,
               HasSubstr("calibration.json: the table has no range for "));
  expect_error(import.run("--calibration-table " + small), 2, HasSubstr("belong together"));
}

}  // namespace
}  // namespace narrow::test
