// Configs that are wrong, each with the exact line that says so.
#include <gtest/gtest.h>

#include "apps/config.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "tests/support/temp_folder.h"

namespace narrow::apps {
namespace {

struct Malformed {
  const char* config;
  const char* message;
};

std::string failure_of(const std::string& text) {
  try {
    make_config(parse_json(text, "c.json"), "c.json", {});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << text;
    return error.what();
  }
  return "no error";
}

const Malformed kMalformed[] = {
    {"[]", "c.json: document: expected an object"},
    {R"({"modes": 1})", "c.json: modes: unknown key"},
    {R"({"default": {}})", "c.json: default: unknown key; did you mean 'defaults'?"},
    {R"({"target": "onnxrutime"})", "c.json: target: unknown target 'onnxrutime'; did you mean 'onnxruntime'?"},
    {R"({"target": "tpu"})",
     "c.json: target: unknown target 'tpu'; known: onnxruntime, openvino, tensorrt, x86-avx2, generic"},
    {R"({"target": 3})", "c.json: target: expected a string"},
    {R"({"format": "qlinear"})", "c.json: format: 'qlinear' is none of qdq, qoperator"},
    {R"({"target": "tensorrt", "format": "qoperator"})", "c.json: format: tensorrt reads qdq files only"},
    {R"({"integer_io": "some"})",
     "c.json: integer_io: 'some' is none of none, inputs, outputs, all or an array of names"},
    {R"({"integer_io": [1]})", "c.json: integer_io: an element has the wrong type"},
    {R"({"defaults": {"weights": {"operators": "microsoft"}}})",
     "c.json: defaults.weights.operators: 'microsoft' is none of standard, com.microsoft"},
    {R"({"calibration": []})", "c.json: calibration: expected an object"},
    {R"({"calibration": {"samples": 0}})", "c.json: calibration.samples: must be at least 1"},
    {R"({"calibration": {"samples": 1.5}})", "c.json: calibration.samples: expected an integer"},
    {R"({"calibration": {"sample": 5}})", "c.json: calibration.sample: unknown key; did you mean 'samples'?"},
    {R"({"calibration": {"method": "entropi"}})",
     "c.json: calibration.method: unknown calibration method 'entropi'; did you mean 'entropy'?"},
    {R"({"calibration": {"percentile": 50}})", "c.json: calibration.percentile: must be above 50 and at most 100"},
    {R"({"calibration": {"percentile": "high"}})", "c.json: calibration.percentile: expected a number"},
    {R"({"defaults": {"mode": "weights_only"}})",
     "c.json: defaults.mode: 'weights_only' is none of static, dynamic, weight_only, float16, bfloat16; did you mean "
     "'weight_only'?"},
    {R"({"defaults": {"mode": 4}})", "c.json: defaults.mode: expected a string"},
    {R"({"defaults": {"weights": 8}})", "c.json: defaults.weights: expected a string"},
    {R"({"defaults": {"weights": {"type": "in8"}}})",
     "c.json: defaults.weights.type: 'in8' is none of int8, uint8, int16, uint16, int4, uint4, int2, uint2, "
     "float8e4m3fn, float8e5m2, float4e2m1, binary, codebook; did you mean 'int8'?"},
    {R"({"defaults": {"weights": {"blocks": 32}}})",
     "c.json: defaults.weights.blocks: unknown key; did you mean 'block'?"},
    {R"({"defaults": {"weights": {"block": 1}}})", "c.json: defaults.weights.block: must be at least 2"},
    {R"({"defaults": {"weights": {"block": "32"}}})", "c.json: defaults.weights.block: expected an integer"},
    {R"({"defaults": {"weights": {"symmetric": 1}}})", "c.json: defaults.weights.symmetric: expected true or false"},
    {R"({"defaults": {"weights": {"reduce_range": "no"}}})",
     "c.json: defaults.weights.reduce_range: expected true or false"},
    {R"({"defaults": {"weights": {"calibrator": "max"}}})",
     "c.json: defaults.weights.calibrator: 'max' is none of minmax, mse; did you mean 'mse'?"},
    {R"({"defaults": {"activations": {"block": 32}}})", "c.json: defaults.activations.block: unknown key"},
    {R"({"defaults": {"activations": {"reduce_range": true}}})",
     "c.json: defaults.activations.reduce_range: unknown key"},
    {R"({"defaults": {"granularity": "per_chanel"}})",
     "c.json: defaults.granularity: 'per_chanel' is none of per_tensor, per_channel, per_block; did you mean "
     "'per_channel'?"},
    {R"({"defaults": {"calibrator": "mse"}})", "c.json: defaults.calibrator: expected an object"},
    {R"({"defaults": {"keep": "float32"}})", "c.json: defaults.keep: unknown key"},
    {R"({"rules": {}})", "c.json: rules: expected an array"},
    {R"({"rules": [3]})", "c.json: rules[0]: expected an object"},
    {R"({"rules": [{"keep": "float32"}]})", "c.json: rules[0].match: is missing"},
    {R"({"rules": [{"match": {"op": "Conv"}, "keep": "int8"}]})", "c.json: rules[0].keep: 'int8' is not float32"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weigths": "int4"}]})",
     "c.json: rules[0].weigths: unknown key; did you mean 'weights'?"},
    {R"({"rules": [{"match": {"op": "Conv"}}, {"match": {"name": 1}}]})",
     "c.json: rules[1].match.name: expected a string"},
    {R"({"rules": [{"match": {"opp": "Conv"}}]})", "c.json: rules[0].match.opp: unknown key; did you mean 'op'?"},
    {R"({"rules": [{"match": {"between": "a"}}]})", "c.json: rules[0].match.between: expected an array"},
    {R"({"gates": {"min_sqnr": 20}})", "c.json: gates.min_sqnr: unknown key"},
};

TEST(MalformedConfig, EachSaysWhatIsWrongAndWhere) {
  EXPECT_GE(std::size(kMalformed), 30U);
  for (const Malformed& malformed : kMalformed) EXPECT_EQ(failure_of(malformed.config), malformed.message);
}

TEST(MalformedConfig, SettingsFromTheCommandLineSayTheirOwnName) {
  const auto failure = [](const std::string& assignment) -> std::string {
    ConfigFlags flags;
    flags.sets = {assignment};
    try {
      read_config(flags);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(failure("mode"), "--set mode: 'mode' is not of the form KEY=VALUE");
  EXPECT_EQ(failure("=3"), "--set =3: '=3' is not of the form KEY=VALUE");
  EXPECT_EQ(failure("weights..block=3"), "--set weights..block=3: 'weights..block': a key between two dots is missing");
  EXPECT_EQ(failure("moed=static"), "--set moed=static: defaults.moed: unknown key; did you mean 'mode'?");
  EXPECT_EQ(failure("weights.block=one"), "--set weights.block=one: defaults.weights.block: expected an integer");
  EXPECT_EQ(failure("calibration.samples=0"), "--set calibration.samples=0: calibration.samples: must be at least 1");
}

TEST(ConfigExtends, ObjectsMergeRulesFollowAndTheRestReplaces) {
  const test::TempFolder folder;
  write_file(folder / "base.json", R"({"calibration": {"method": "mse", "samples": 10},
    "defaults": {"weights": {"type": "int4", "block": 64}},
    "rules": [{"match": {"op": "Conv"}, "weights": "int8"}]})");
  write_file(folder / "own.json", R"({"extends": "base.json", "calibration": {"samples": 20},
    "defaults": {"weights": {"block": 16}}, "rules": [{"match": {"op": "Gemm"}, "keep": "float32"}]})");
  ConfigFlags flags;
  flags.config_path = (folder / "own.json").string();
  const Config config = read_config(flags);
  EXPECT_EQ(config.samples, 20);
  EXPECT_EQ(config.rules.defaults.calibrator.method, quant::CalibrationMethod::kMse);
  EXPECT_EQ(config.rules.defaults.weights, quant::QuantType::kInt4);
  EXPECT_EQ(config.rules.defaults.block, 16);
  ASSERT_EQ(config.rules.rules.size(), 2U);
  EXPECT_EQ(config.rules.rules[0].text, "rules[0] (op Conv)");
  EXPECT_EQ(config.rules.rules[1].text, "rules[1] (op Gemm)");
}

TEST(ConfigExtends, ACircleIsAnError) {
  const test::TempFolder folder;
  write_file(folder / "a.json", R"({"extends": "b.json"})");
  write_file(folder / "b.json", R"({"extends": "a.json"})");
  ConfigFlags flags;
  flags.config_path = (folder / "a.json").string();
  try {
    read_config(flags);
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("configs extend each other: ")) << error.what();
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  }
}

TEST(ConfigSet, AssignmentsComeInOrderAndReachEverySetting) {
  ConfigFlags flags;
  flags.sets = {"weights=uint4", "weights.block=16", "mode=weight_only", "calibration.samples=7", "target=generic"};
  const Config config = read_config(flags);
  EXPECT_EQ(config.rules.defaults.weights, quant::QuantType::kUint4) << "the type moved into the object";
  EXPECT_EQ(config.rules.defaults.block, 16);
  EXPECT_EQ(config.rules.defaults.granularity, plan::Granularity::kPerBlock);
  EXPECT_EQ(config.rules.defaults.mode, plan::Mode::kWeightOnly);
  EXPECT_EQ(config.samples, 7);
  EXPECT_EQ(config.rules.target, plan::Target::kGeneric);
}

}  // namespace
}  // namespace narrow::apps
