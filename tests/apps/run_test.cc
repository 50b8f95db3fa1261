#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

const std::string kRun = "run " + kModel + " --data " + kData + " --config " + kConfig + " --quiet -o ";

TEST(Run, WritesOneArrayForEachOutput) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRun + folder.path("out.npz"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("1 output of 200 feeds (float runtime)"));
  const std::string bytes = read_text(folder.path("out.npz"));
  EXPECT_THAT(bytes, HasSubstr("logits.npy"));
  EXPECT_THAT(bytes, HasSubstr("'shape': (200, 16)"));
}

TEST(Run, SameBytesAtAnyThreadCount) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_narrow(kRun + folder.path("a.npz") + " --threads 1").exit_code, 0);
  ASSERT_EQ(run_narrow(kRun + folder.path("b.npz") + " --threads 2").exit_code, 0);
  EXPECT_EQ(read_text(folder.path("a.npz")), read_text(folder.path("b.npz")));
}

TEST(Run, AFolderGetsOneFileForEachFeed) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_narrow(kRun + folder.path("outputs")).exit_code, 0);
  EXPECT_THAT(read_text(folder.path("outputs/feed_000199.npz")), HasSubstr("'shape': (1, 16)"));
}

TEST(Run, IntegerRuntimeWantsAQuantizedModel) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kRun + folder.path("o.npz") + " --runtime integer");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("the model is not quantized"));
}

TEST(Inspect, TellsWhatIsThere) {
  const Outcome outcome = run_narrow("inspect " + kModel + " --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  // tests/data/README.md counts 55,216 that were trained; 11 BatchNormalizations add mean and variance of 737 channels.
  EXPECT_EQ(json["parameters"], 55216 + 2 * 737);
  EXPECT_EQ(json["opsets"]["ai.onnx"], 17);
  EXPECT_EQ(json["inputs"][0]["name"], "image");
  EXPECT_EQ(json["inputs"][0]["shape"], "[?,1,32,32]");
  EXPECT_EQ(json["outputs"][0]["name"], "logits");
  EXPECT_EQ(json["quantize_nodes"], 0);
  EXPECT_GT(json["quantization"]["macs"].get<int64_t>(), 0);
}

TEST(Inspect, TellsThatAnOldOpsetWasRaised) {
  const TemporaryFolder folder;
  onnx::ModelProto proto = graph_from_text("agraph (float[N,3] x) => (float[N,3] y) { y = Relu (x) }").proto();
  proto.mutable_opset_import(0)->set_version(5);
  folder.write("old.onnx", proto.SerializeAsString());
  const Outcome outcome = run_narrow("inspect " + folder.path("old.onnx") + " --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  EXPECT_EQ(json["file_opset"], 5);
  EXPECT_EQ(json["opsets"]["ai.onnx"], 9);
  EXPECT_EQ(json["notes"], Json::array({"opset 5 of the file was raised to 9"}));
  EXPECT_THAT(run_narrow("inspect " + folder.path("old.onnx")).out, HasSubstr("opset 5 of the file was raised to 9"));
  const std::string out = folder.path("out.onnx");
  const Outcome quantized = run_narrow("quantize " + folder.path("old.onnx") + " -o " + out +
                                       " --config configs/weight-only-int8.json --format json");
  EXPECT_THAT(quantized.out, HasSubstr("opset 5 of the file was raised to 9")) << quantized.err;
}

TEST(Bench, GivesSpeedAndLatencyOfEachModel) {
  const Outcome outcome =
      run_narrow("bench " + kModel + " " + kModel + " --batch 2 --seconds 0.05 --quiet --format json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = parse_json(outcome.out, "stdout");
  ASSERT_EQ(json["models"].size(), 2U);
  EXPECT_EQ(json["batch"], 2);
  for (const Json& model : json["models"]) {
    EXPECT_GT(model["samples_per_second"].get<double>(), 0);
    EXPECT_GE(model["latency_ms"]["p95"].get<double>(), model["latency_ms"]["median"].get<double>());
  }
}

}  // namespace
}  // namespace narrow::test
