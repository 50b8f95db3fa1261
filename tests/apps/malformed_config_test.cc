// Configs that are wrong, each with the exact line that says so.
#include <gmock/gmock.h>
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
    make_config(ConfigSource("c.json", text), {});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage) << text;
    return error.what();
  }
  return "no error";
}

const Malformed kMalformed[] = {
    {"[]", "c.json:1: expected an object"},
    {R"({"modes": 1})",
     "c.json:1: modes: unknown key; known: $schema, extends, recovery, inputs, calibration, target, format, "
     "integer_io, "
     "recovery_seconds, defaults, rules, gates"},
    {R"({"default": {}})", "c.json:1: default: unknown key; did you mean 'defaults'?"},
    {R"({"target": "onnxrutime"})", "c.json:1: target: unknown target 'onnxrutime'; did you mean 'onnxruntime'?"},
    {R"({"target": "tpu"})",
     "c.json:1: target: unknown target 'tpu'; known: onnxruntime, openvino, tensorrt, x86-avx2, generic"},
    {R"({"target": 3})", "c.json:1: target: expected a string"},
    {R"({"format": "qlinear"})", "c.json:1: format: 'qlinear' is none of qdq, qoperator"},
    {R"({"target": "tensorrt", "format": "qoperator"})", "c.json:1: format: tensorrt reads qdq files only"},
    {R"({"integer_io": "some"})",
     "c.json:1: integer_io: 'some' is none of none, inputs, outputs, all or an array of names"},
    {R"({"integer_io": [1]})", "c.json:1: integer_io: an element has the wrong type"},
    {R"({"defaults": {"weights": {"operators": "microsoft"}}})",
     "c.json:1: defaults.weights.operators: 'microsoft' is none of standard, com.microsoft"},
    {R"({"calibration": []})", "c.json:1: calibration: expected an object"},
    {R"({"calibration": {"samples": 0}})", "c.json:1: calibration.samples: must be at least 1"},
    {R"({"calibration": {"samples": 1.5}})", "c.json:1: calibration.samples: expected an integer"},
    {R"({"calibration": {"sample": 5}})", "c.json:1: calibration.sample: unknown key; did you mean 'samples'?"},
    {R"({"calibration": {"method": "entropi"}})",
     "c.json:1: calibration.method: unknown calibration method 'entropi'; did you mean 'entropy'?"},
    {R"({"calibration": {"percentile": 50}})", "c.json:1: calibration.percentile: must be above 50 and at most 100"},
    {R"({"calibration": {"percentile": "high"}})", "c.json:1: calibration.percentile: expected a number"},
    {R"({"defaults": {"mode": "weights_only"}})",
     "c.json:1: defaults.mode: 'weights_only' is none of static, dynamic, weight_only, float16, bfloat16; did you mean "
     "'weight_only'?"},
    {R"({"defaults": {"mode": 4}})", "c.json:1: defaults.mode: expected a string"},
    {R"({"defaults": {"weights": 8}})", "c.json:1: defaults.weights: expected a string"},
    {R"({"defaults": {"weights": {"type": "in8"}}})",
     "c.json:1: defaults.weights.type: 'in8' is none of int8, uint8, int16, uint16, int4, uint4, int2, uint2, "
     "float8e4m3fn, float8e5m2, float4e2m1, binary, codebook; did you mean 'int8'?"},
    {R"({"defaults": {"weights": {"blocks": 32}}})",
     "c.json:1: defaults.weights.blocks: unknown key; did you mean 'block'?"},
    {R"({"defaults": {"weights": {"block": 1}}})", "c.json:1: defaults.weights.block: must be at least 2"},
    {R"({"defaults": {"weights": {"block": "32"}}})", "c.json:1: defaults.weights.block: expected an integer"},
    {R"({"defaults": {"weights": {"symmetric": 1}}})", "c.json:1: defaults.weights.symmetric: expected true or false"},
    {R"({"defaults": {"weights": {"reduce_range": "no"}}})",
     "c.json:1: defaults.weights.reduce_range: expected true or false"},
    {R"({"defaults": {"weights": {"calibrator": "max"}}})",
     "c.json:1: defaults.weights.calibrator: 'max' is none of minmax, mse; did you mean 'mse'?"},
    {R"({"defaults": {"activations": {"block": 32}}})",
     "c.json:1: defaults.activations.block: unknown key; known: type, symmetric"},
    {R"({"defaults": {"activations": {"reduce_range": true}}})",
     "c.json:1: defaults.activations.reduce_range: unknown key; known: type, symmetric"},
    {R"({"defaults": {"granularity": "per_chanel"}})",
     "c.json:1: defaults.granularity: 'per_chanel' is none of per_tensor, per_channel, per_block; did you mean "
     "'per_channel'?"},
    {R"({"defaults": {"calibrator": "mse"}})", "c.json:1: defaults.calibrator: expected an object"},
    {R"({"defaults": {"keep": "float32"}})",
     "c.json:1: defaults.keep: unknown key; known: mode, weights, activations, granularity, calibrator"},
    {R"({"rules": {}})", "c.json:1: rules: expected an array"},
    {R"({"rules": [3]})", "c.json:1: rules[0]: expected an object"},
    {R"({"rules": [{"keep": "float32"}]})", "c.json:1: rules[0].match: is missing"},
    {R"({"rules": [{"match": {"op": "Conv"}, "keep": "int8"}]})", "c.json:1: rules[0].keep: 'int8' is not float32"},
    {R"({"rules": [{"match": {"op": "Conv"}, "keep": "float32", "weights": "int4"}]})",
     "c.json:1: rules[0].weights: a rule with \"keep\" sets nothing else: its nodes stay float32"},
    {R"({"rules": [{"match": {"op": "Conv"}, "keep": "float32", "mode": "float16"}]})",
     "c.json:1: rules[0].mode: a rule with \"keep\" sets nothing else: its nodes stay float32"},
    {R"({"rules": [{"match": {"op": "Conv"}, "mode": "float16", "weights": "int4"}]})",
     "c.json:1: rules[0].weights: the mode float16 has no other types"},
    {R"({"rules": [{"match": {"op": "Conv"}, "mode": "bfloat16", "activations": "uint8"}]})",
     "c.json:1: rules[0].activations: the mode bfloat16 has no other types"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weights": {"type": "int4", "entries": 8}}]})",
     "c.json:1: rules[0].weights.entries: is of codebooks, and the type is int4"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weights": {"type": "binary", "channels": 8}}]})",
     "c.json:1: rules[0].weights.channels: is of codebooks, and the type is binary"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weights": {"rounding": "half_even", "seed": 8}}]})",
     "c.json:1: rules[0].weights.seed: is of stochastic rounding, and the rounding is half_even"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weights": {"block": 32}, "granularity": "per_tensor"}]})",
     "c.json:1: rules[0].weights.block: means per_block, and the granularity is per_tensor"},
    {R"({"rules": [{"match": {"op": "Conv"}, "calibrator": {"method": "minmax", "percentile": 99}}]})",
     "c.json:1: rules[0].calibrator.percentile: is of the method percentile, and the method is minmax"},
    {R"({"rules": [{"match": {"op": "Conv"}, "weigths": "int4"}]})",
     "c.json:1: rules[0].weigths: unknown key; did you mean 'weights'?"},
    {R"({"rules": [{"match": {"op": "Conv"}}, {"match": {"name": 1}}]})",
     "c.json:1: rules[1].match.name: expected a string"},
    {R"({"rules": [{"match": {"opp": "Conv"}}]})", "c.json:1: rules[0].match.opp: unknown key; did you mean 'op'?"},
    {R"({"rules": [{"match": {"between": "a"}}]})", "c.json:1: rules[0].match.between: expected an array"},
    {R"({"gates": {"min_sqnr": 20}})", "c.json:1: gates.min_sqnr: unknown key; did you mean 'min_sqnr_db'?"},
    {R"({"gates": {"min_agreement": 97}})", "c.json:1: gates.min_agreement: 97 is not a share from 0 to 1"},
    // Lines: of a key, of the nearest thing around what is missing, behind comments, with several things on one line.
    {"{\n  \"target\": \"generic\",\n  \"calibration\": {\n    \"samples\": 0\n  }\n}",
     "c.json:4: calibration.samples: must be at least 1"},
    {"{\n  \"rules\": [\n    { \"match\": { \"op\": \"Conv\" } },\n    { \"keep\": \"float32\" }\n  ]\n}",
     "c.json:4: rules[1].match: is missing"},
    {"// samples\n/* of\nall */ {\n  \"calibration\": { \"samples\": \"all\" } }",
     "c.json:4: calibration.samples: expected an integer"},
    {"{ \"rules\": [\n  { \"match\": { \"any\": [ { \"op\": \"Conv\" },\n    { \"op\": 3 } ] } } ] }",
     "c.json:3: rules[0].match.any[1].op: expected a string"},
    {"{ \"rules\": [\n  { \"match\": {\n    \"regex\": \"(\" } } ] }",
     "c.json:3: rules[0].match.regex: '(' is not a regular expression: missing ): ("},
    {"{ \"recovery\": [\n  \"round\",\n  \"equalise\" ] }",
     "c.json:1: recovery: unknown method 'equalise'; did you mean 'equalize'?"},
    {"{\n  \"inputs\": {\n    \"data\": {\n      \"crop\": [1, 2, 3] } } }",
     "c.json:4: inputs.data.crop: expected one side or [height, width]"},
    {"{\n  \"gates\": {},\n  \"target\": \"generic\",\n  \"gates\": {} }", "c.json:4: gates: is given twice"},
    {"{\n  \"calibration\": {\n    \"percentile\": 1e999 } }", "c.json:3: a number is too large"},
    {"{\n  \"target\": \"generic\"\n  \"gates\": {} }", "c.json:3:9: not valid JSON"},
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

TEST(ConfigExtends, AMistakeIsNamedInTheFileThatMakesIt) {
  const test::TempFolder folder;
  write_file(folder / "base.json",
             "{\n  \"rules\": [\n    { \"match\": { \"op\": \"Conv\" } },\n    { \"match\": {} } ]\n}");
  write_file(folder / "own.json",
             "{ \"extends\": \"base.json\",\n  \"rules\": [ { \"match\": { \"op\": \"Gemm\" } } ] }");
  const auto failure = [&](const std::string& file) -> std::string {
    ConfigFlags flags;
    flags.config_path = (folder / file).string();
    try {
      read_config(flags);
    } catch (const Error& error) {
      const std::string message = error.what();
      return message.substr(message.rfind('/') + 1);
    }
    return "no error";
  };
  EXPECT_EQ(failure("own.json"), "base.json:4: rules[1].match: needs a condition, such as name, regex or op");
  write_file(folder / "base.json", R"({"rules": [{"match": {"op": "Conv"}}], "defaults": {"mode": "static"}})");
  EXPECT_EQ(failure("own.json"), "no error");
  write_file(folder / "own.json",
             "{ \"extends\": \"base.json\",\n  \"rules\": [\n    { \"match\": { \"opp\": 1 } } ] }");
  EXPECT_EQ(failure("own.json"), "own.json:3: rules[0].match.opp: unknown key; did you mean 'op'?")
      << "counted as in the file";
  write_file(folder / "own.json", "{ \"extends\": \"base.json\",\n  \"defaults\": {\n    \"weights\": \"int5\" } }");
  EXPECT_THAT(failure("own.json"), testing::StartsWith("own.json:3: defaults.weights: 'int5' is none of int8"));
  write_file(folder / "own.json", "{\n  \"extends\": \"bace.json\" }");
  EXPECT_THAT(failure("own.json"), testing::StartsWith("bace.json'"));
}

TEST(ConfigExtends, ARuleThatMatchesNothingIsNamedInItsFile) {
  const ConfigSource source("c.json", "{ \"rules\": [\n  { \"match\": { \"op\": \"Covn\" } } ] }");
  EXPECT_EQ(make_config(source, {}).rules.rules[0].place, "c.json:2");
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

TEST(ConfigSet, ATypeLeavesWhatWasSetBesideIt) {
  const Config config = make_config(
      ConfigSource(), {.sets = {"weights.block=16", "weights=int4", "activations.symmetric=true", "activations=int8"}});
  EXPECT_EQ(config.rules.defaults.weights, quant::QuantType::kInt4);
  EXPECT_EQ(config.rules.defaults.block, 16);
  EXPECT_EQ(config.rules.defaults.granularity, plan::Granularity::kPerBlock);
  EXPECT_EQ(config.rules.defaults.activations, quant::QuantType::kInt8);
  EXPECT_TRUE(config.rules.defaults.activations_symmetric);
}

}  // namespace
}  // namespace narrow::apps
