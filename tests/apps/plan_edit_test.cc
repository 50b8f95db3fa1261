// A plan is the one thing that decides: a line that is edited changes its own layer, and no other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <vector>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/real_models.h"

namespace narrow::test {
namespace {

/// Names of what differs in a group of narrow diff's JSON.
std::set<std::string> names(const Json& diff, const std::string& group) {
  std::set<std::string> found;
  for (const Json& one : diff["groups"]) {
    if (one["name"] != group) continue;
    for (const char* kind : {"changed", "added", "removed"}) {
      for (const Json& item : one[kind]) found.insert(item["name"].get<std::string>());
    }
  }
  return found;
}

TEST(PlanEdit, OneLineChangesExactlyItsLayer) {
  const TemporaryFolder folder;
  const std::string plan = folder.path("plan.json");
  const std::string before = folder.path("a.onnx");
  const std::string after = folder.path("b.onnx");
  const std::string quantize = "quantize " + kModel + " --quiet --no-speed --plan ";
  ASSERT_EQ(run_narrow(kQuantize + " --recovery none -o " + before + " --plan-out " + plan).exit_code, 0);
  const Json original = read_json(plan);
  int edited = 0;
  for (size_t i = 0; i < original["layers"].size(); ++i) {
    if (!original["layers"][i].contains("weights")) continue;
    Json changed = original;
    Json& weights = changed["layers"][i]["weights"];
    weights["scales"][0] = weights["scales"][0].get<double>() * 2;
    const std::string other = folder.write("edited.json", json_text(changed));
    const Outcome outcome = run_narrow(quantize + other + " -o " + after);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json diff = parse_json(run_narrow("diff " + before + " " + after + " --format json").out, "stdout");
    const auto node = original["layers"][i]["node"].get<std::string>();
    for (const std::string& name : names(diff, "weights")) EXPECT_TRUE(name.starts_with(node + " input ")) << name;
    EXPECT_FALSE(names(diff, "weights").empty()) << node;
    for (const char* group : {"nodes", "quantized values", "supporting nodes", "inputs", "outputs"}) {
      EXPECT_TRUE(names(diff, group).empty()) << node << " " << group;
    }
    ++edited;
  }
  EXPECT_EQ(edited, 12);
}

TEST(PlanEdit, ADecisionAloneTurnsALayerFloatAndNoOther) {
  const TemporaryFolder folder;
  const std::string plan = folder.path("plan.json");
  const std::string before = folder.path("a.onnx");
  const std::string after = folder.path("b.onnx");
  const std::string quantize = "quantize " + kModel + " --quiet --no-speed --plan ";
  ASSERT_EQ(run_narrow(kQuantize + " --recovery none -o " + before + " --plan-out " + plan).exit_code, 0);
  const Json original = read_json(plan);
  int edited = 0;
  for (size_t i = 0; i < original["layers"].size(); ++i) {
    if (!original["layers"][i].contains("weights")) continue;
    Json changed = original;
    changed["layers"][i]["decision"] = "float32";
    const std::string other = folder.write("edited.json", json_text(changed));
    const Outcome outcome = run_narrow(quantize + other + " -o " + after);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json diff = parse_json(run_narrow("diff " + before + " " + after + " --format json").out, "stdout");
    const auto node = original["layers"][i]["node"].get<std::string>();
    EXPECT_FALSE(names(diff, "weights").empty()) << node;
    for (const std::string& name : names(diff, "weights")) EXPECT_TRUE(name.starts_with(node + " input ")) << name;
    ++edited;
  }
  EXPECT_EQ(edited, 12);
}

TEST(PlanEdit, AClampThatNothingQuantizesIsNotFolded) {
  const TemporaryFolder folder;
  const std::string plan = folder.path("plan.json");
  ASSERT_EQ(run_narrow(kQuantize + " --recovery none -o " + folder.path("a.onnx") + " --plan-out " + plan).exit_code,
            0);
  Json changed = read_json(plan);
  const auto turn_float = [&](const std::string& decision) {
    for (Json& layer : changed["layers"]) {
      if (layer["decision"] == decision) layer["decision"] = "float32";
    }
    return run_narrow("quantize " + kModel + " --quiet --no-speed --plan " +
                      folder.write("edited.json", json_text(changed)) + " -o " + folder.path("b.onnx"));
  };
  const Outcome refused = turn_float("quantize");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, testing::HasSubstr("it can not be folded: "));
  EXPECT_EQ(turn_float("fold").exit_code, 0);
}

TEST(PlanEdit, AValuesScaleChangesThatValue) {
  const TemporaryFolder folder;
  const std::string plan = folder.path("plan.json");
  ASSERT_EQ(run_narrow(kQuantize + " --recovery none -o " + folder.path("a.onnx") + " --plan-out " + plan).exit_code,
            0);
  Json changed = read_json(plan);
  Json& value = changed["values"].back();
  value["scale"] = value["scale"].get<double>() * 2;
  const std::string edited = folder.write("edited.json", json_text(changed));
  ASSERT_EQ(run_narrow("quantize " + kModel + " --quiet --no-speed --plan " + edited + " -o " + folder.path("b.onnx"))
                .exit_code,
            0);
  const Json diff = parse_json(
      run_narrow("diff " + folder.path("a.onnx") + " " + folder.path("b.onnx") + " --format json").out, "stdout");
  EXPECT_EQ(names(diff, "quantized values"), (std::set<std::string>{value["value"].get<std::string>()}));
  EXPECT_TRUE(names(diff, "nodes").empty());
}

/// Predicts the file with these options, makes it, and compares.
void check_size(const TemporaryFolder& folder, const std::string& options) {
  const std::string output = folder.path("out.onnx");
  const std::string common = kModel + " --method minmax --quiet " + options;
  const Outcome dry = run_narrow("plan " + common + " --dry-run --format json");
  ASSERT_EQ(dry.exit_code, 0) << options << dry.err;
  const Outcome made = run_narrow("quantize " + common + " --no-speed --samples 8 --data " + kData + " -o " + output +
                                  " --recovery none");
  ASSERT_EQ(made.exit_code, 0) << options << made.err;
  const auto written = static_cast<double>(std::filesystem::file_size(output));
  const auto predicted = parse_json(dry.out, "stdout")["file_bytes"].get<double>();
  EXPECT_NEAR(predicted, written, 0.01 * written) << options;
}

TEST(DryRunCommand, TheFileIsAsLargeAsItSays) {
  const TemporaryFolder folder;
  for (const std::string way : {"--set weights=int2", "--set granularity=per_tensor --set weights.symmetric=false",
                                "--set mode=weight_only --set weights=uint4 --set weights.block=16",
                                "--set mode=bfloat16", "--set target=generic --set weights=float8e4m3fn"}) {
    check_size(folder, "--config " + kConfig + " " + way);
  }
}

TEST(DryRunCommand, EveryReadyConfigQuantizesAndIsAsLargeAsItSays) {
  const TemporaryFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator("configs")) {
    if (entry.path().string().ends_with(".schema.json")) continue;
    const Json config{{"extends", std::filesystem::absolute(entry.path()).string()},
                      {"inputs", read_json(kConfig)["inputs"]}};
    check_size(folder, "--config " + folder.write("own.json", json_text(config)));
  }
}

TEST(DryRunCommand, SpeedIsPredictedFromMeasuredLayersWhereAsked) {
  const std::string common = "plan " + kModel + " --dry-run --quiet --threads 1 ";
  EXPECT_FALSE(parse_json(run_narrow(common + "--format json").out, "stdout").contains("speed"));
  const Outcome measured = run_narrow(common + "--measure --format json");
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  const Json speed = parse_json(measured.out, "stdout")["speed"];
  EXPECT_TRUE(speed["random_inputs"].get<bool>());
  EXPECT_EQ(speed["threads"], 1);
  EXPECT_GE(speed["layers"].size(), 12U) << "each product at least";
  double sum = 0;
  for (const Json& layer : speed["layers"]) sum += layer["integer_ms"].get<double>();
  EXPECT_NEAR(speed["predicted_ms"].get<double>(), sum, 1e-9 + 1e-6 * sum);
  EXPECT_GT(speed["float_ms"].get<double>(), 0);
  const Outcome on_data = run_narrow(common + "--measure --data " + kData + " --config " + kConfig);
  EXPECT_THAT(on_data.out, testing::HasSubstr("predicted speed: sums of layers as measured on this machine"));
  expect_error(run_narrow("plan " + kModel + " --measure -o p.json"), 2,
               testing::HasSubstr("--measure needs --dry-run"));
}

TEST(PlanEdit, EveryNodeOfEveryRealModelHasADecisionAndAReason) {
  const auto models = real_models();
  if (models.empty()) GTEST_SKIP() << "no real models";
  for (const auto& model : models) {
    const Outcome inspect = run_narrow("inspect " + model.string() + " --format json --quiet");
    const graph::Model file = io::load_model(model.string());
    const Json inspected = parse_json(inspect.out, "stdout");
    for (const char* config : {"int8", "weight-only-int4"}) {
      const Outcome outcome = run_narrow("plan " + model.string() +
                                         " --dry-run --format json --quiet --config configs/" + config + ".json");
      ASSERT_EQ(outcome.exit_code, 0) << model << " " << config << outcome.err;
      const Json plan = parse_json(outcome.out, "stdout");
      EXPECT_EQ(plan["layers"].size(), inspected["quantization"]["nodes"].get<size_t>()) << model;
      std::set<std::string> names;
      for (const Json& group : plan["prepared"]) {
        EXPECT_FALSE(group["reason"].get<std::string>().empty()) << model;
        for (const Json& node : group["nodes"]) names.insert(node.get<std::string>());
      }
      for (const Json& layer : plan["layers"]) {
        names.insert(layer["node"].get<std::string>());
        EXPECT_FALSE(layer["node"].get<std::string>().empty()) << model;
        EXPECT_FALSE(layer["rule"].get<std::string>().empty()) << model << layer["node"];
        EXPECT_TRUE(layer["decision"] != "float32" || !layer.value("reason", "").empty()) << model << layer["node"];
      }
      graph::for_each_node(file.graph(), [&](const onnx::NodeProto& node) {
        EXPECT_TRUE(node.name().empty() || names.contains(node.name())) << model << " " << node.name();
      });
    }
  }
}

}  // namespace
}  // namespace narrow::test
