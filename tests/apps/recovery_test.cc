// Recovery as a user meets it: on by default, recorded in the plan, repeated by it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

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
  EXPECT_EQ(recovery["held_samples"], 10);
  EXPECT_EQ(recovery["trials"][0]["steps"], "plain");
  double gain = -1;
  for (const Json& trial : recovery["trials"]) {
    if (trial["steps"] == recovery["chosen"]) gain = trial["gain_db"].get<double>();
  }
  EXPECT_GE(gain, 0);
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

/// Rows of 8 channels, two of them far wider than the others, that a product reads and a residual sum too.
void write_wide_channels(const TemporaryFolder& folder) {
  graph::Model model = graph_from_text(R"(g (float[N,8] x) => (float[N,4] y)
    <float[8,4] w = {1, 2, 3, 4, -1, 2, -3, 4, 1, -2, 3, -4, 2, 1, 4, 3, -2, 1, 4, -3, 1, 1, 1, 1,
                     0.02, 0.01, 0.04, -0.03, -0.02, 0.01, 0.04, 0.03}> {
      t = Softsign (x)
      s = Mul (t, x)
      y = MatMul (s, w) })");
  io::save_model(model, folder.path("m.onnx"));
  std::string elements;
  for (int i = 0; i < 40 * 8; ++i) {
    const float x = std::sin(static_cast<float>(i * i)) * (i % 8 >= 6 ? 100.0F : 1.0F);
    elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
  }
  folder.write("x.npy", npy("<f4", "40, 8", elements));
}

struct Repeated {
  Json recovery;  // of the report
  Json plan;
};

/// m.onnx over x.npy with defaults; its plan gives the same bytes at another thread count.
Repeated quantize_and_repeat(const TemporaryFolder& folder) {
  const std::string base = "quantize " + folder.path("m.onnx") + " --data " + folder.path("x.npy") +
                           " --samples 32 --no-speed --quiet --format json -o ";
  const Outcome first = run_narrow(base + folder.path("a.onnx") + " --threads 1 --plan-out " + folder.path("p.json"));
  EXPECT_EQ(first.exit_code, 0) << first.err;
  const Outcome again = run_narrow(base + folder.path("b.onnx") + " --threads 3 --plan " + folder.path("p.json"));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx")));
  return {.recovery = parse_json(first.out, "stdout")["recovery"], .plan = read_json(folder.path("p.json"))};
}

TEST(Recovery, SmoothingIsFoundByItselfAndRepeatedByItsPlan) {
  const TemporaryFolder folder;
  write_wide_channels(folder);
  const Repeated run = quantize_and_repeat(folder);
  const Json trials = run.recovery["trials"];
  EXPECT_EQ(trials[1]["steps"], "smooth");
  EXPECT_GT(trials[1]["sqnr_db"].get<double>(), trials[0]["sqnr_db"].get<double>() + 3);
  EXPECT_EQ(run.plan["recovery"]["steps"][0]["values"][0]["value"], "s");
}

TEST(Recovery, SmoothedValuesHaveRoomForOtherSamples) {
  const TemporaryFolder folder;
  write_wide_channels(folder);
  const Json plan = quantize_and_repeat(folder).plan;
  const graph::Model made = io::load_model(folder.path("a.onnx"));
  const graph::GraphIndex index(made.graph());
  const Tensor factors = made.tensor(*index.initializer("s_smooth_factors"));
  // What the rows make of s_smooth, all of them: x * softsign(x) times the factors, 0 and more.
  double most = 0;
  for (int i = 0; i < 40 * 8; ++i) {
    const double x = std::sin(static_cast<double>(static_cast<float>(i * i))) * (i % 8 >= 6 ? 100 : 1);
    most = std::max(most, x * x / (1 + std::abs(x)) * factors.data<float>()[static_cast<size_t>(i % 8)]);
  }
  double reach = 0;
  for (const Json& value : plan["values"]) {
    if (value["value"] == "s_smooth") reach = 255 * value["scale"].get<double>();
  }
  EXPECT_GT(reach, 1.02 * most);
  EXPECT_LT(reach, 2 * most);
}

/// 40 images of 256 levels by channel as (pixel - mean) / deviation, that a padded convolution reads. The name that
/// added nodes take theirs from is odd.
void write_images(const TemporaryFolder& folder, graph::Model model = graph_from_text(R"(g
    (float[N,2,16,16] x) => (float[N,1,16,16] y)
    <float[1,2,3,3] w = {3, 1, 0, 1, 2, 0, 0, 1, 1, -2, 0, 1, 0, -1, 1, 0, 0, 1}> {
      y = Conv <pads = [1, 1, 1, 1]> (x, w) })")) {
  const std::string odd = "odd*[name]?";
  model.mutable_graph().mutable_input(0)->set_name(odd);
  model.mutable_graph().mutable_node(0)->set_input(0, odd);
  io::save_model(model, folder.path("m.onnx"));
  std::string elements;
  for (int i = 0; i < 40 * 2 * 256; ++i) {
    const int channel = i / 256 % 2;
    const int pixel = i * (i / 512 * 2 + 1) % 256;
    const float x = (static_cast<float>(pixel) - (channel == 0 ? 120.3F : 101.8F)) / (channel == 0 ? 57.0F : 66.0F);
    elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
  }
  folder.write("x.npy", npy("<f4", "40, 2, 16, 16", elements));
}

TEST(Recovery, ImagesAreAlignedByThemselvesAndByThePlan) {
  const TemporaryFolder folder;
  write_images(folder);
  const Repeated run = quantize_and_repeat(folder);
  EXPECT_EQ(run.recovery["chosen"], "align, round");
  EXPECT_EQ(run.plan["recovery"]["steps"][0]["inputs"][0]["value"], "odd*[name]?");
}

TEST(Recovery, AlignmentAloneTakesTheRangesThatAreKnown) {
  const TemporaryFolder folder;
  write_images(folder, graph_from_text(R"(g (float[N,2,16,16] x) => (float[N,1,16,16] y)
    <float[2,2,3,3] w = {3, 1, 0, 1, 2, 0, 0, 1, 1, -2, 0, 1, 0, -1, 1, 0, 0, 1,
                         0.1, 0, 0.3, 0.1, 0, 0.2, 0, 0.1, 0, -0.2, 0.1, 0, 0, -0.1, 0.1, 0, 0, 0.1},
     float[1,2,1,1] v = {1, 9}> {
      a = Conv <pads = [1, 1, 1, 1]> (x, w)
      r = Relu (a)
      y = Conv (r, v) })"));
  const Outcome run = run_narrow("quantize " + folder.path("m.onnx") + " --data " + folder.path("x.npy") +
                                 " --samples 32 --no-speed --quiet --format json -o " + folder.path("a.onnx"));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json report = parse_json(run.out, "stdout");
  std::set<std::string> trials;
  for (const Json& trial : report["recovery"]["trials"]) trials.insert(trial["steps"].get<std::string>());
  EXPECT_TRUE(trials.contains("align, equalize 1, round (trial on 16 samples)")) << run.out;
  EXPECT_TRUE(trials.contains("align, round (trial on 16 samples)")) << run.out;
  int64_t observed = 0;
  for (const Json& stage : report["stages"]) observed += stage["name"] == "observe" ? 1 : 0;
  EXPECT_EQ(observed, 2);  // of the model as it came, and of the equalized one
}

/// A linear bottleneck, as inverted residuals have it: four channels of equal width far apart.
void write_bottleneck(const TemporaryFolder& folder) {
  io::save_model(graph_from_text(R"(g (float[N,2,4,4] x) => (float[N,2,4,4] y)
    <float[4,2,1,1] v = {1, 0.5, 0.5, 1, -1, 0.5, 0.5, -1}, float[4] b = {9, -7, 4, -3},
     float[2,4,1,1] w = {0.3, -0.2, 0.7, 0.1, -0.4, 0.6, 0.2, 0.5}> {
      a = Conv (x, v, b)
      y = Conv (a, w) })"),
                 folder.path("m.onnx"));
}

/// `rows` samples of 32 numbers of their own, the rows repeated `times`.
std::string rows_of(int rows, int times) {
  std::string elements;
  for (int i = 0; i < rows * times * 32; ++i) {
    const int own = i % (rows * 32);
    const float x = std::sin(static_cast<float>(own * own));
    elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
  }
  return npy("<f4", std::to_string(rows * times) + ", 2, 4, 4", elements);
}

TEST(Recovery, OffsetsAreAbsorbedByThemselvesAndByThePlan) {
  const TemporaryFolder folder;
  write_bottleneck(folder);
  folder.write("x.npy", rows_of(40, 1));
  const Repeated run = quantize_and_repeat(folder);
  EXPECT_EQ(run.recovery["chosen"], "absorb, round");
  for (const Json& trial : run.recovery["trials"]) {
    if (trial["steps"] == "absorb, round") {
      EXPECT_GT(trial["gain_db"].get<double>(), 3);
    }
  }
}

// A copy would judge what its like has chosen.
TEST(Recovery, CopiesOfSamplesCountOnce) {
  const TemporaryFolder folder;
  write_bottleneck(folder);
  const std::string run = "quantize " + folder.path("m.onnx") + " --data " + folder.path("x.npy") +
                          " --samples 100 --no-speed --format json -o " + folder.path("a.onnx");
  folder.write("x.npy", rows_of(20, 3));
  const Outcome some = run_narrow(run);
  ASSERT_EQ(some.exit_code, 0) << some.err;
  EXPECT_THAT(parse_json(some.out, "stdout")["warnings"].dump(), HasSubstr("of 60 calibration samples 40 are copies"));
  EXPECT_EQ(parse_json(some.out, "stdout")["recovery"]["held_samples"], 5);
  folder.write("x.npy", rows_of(4, 15));
  const Outcome few = run_narrow(run);
  ASSERT_EQ(few.exit_code, 0) << few.err;
  const Json report = parse_json(few.out, "stdout");
  EXPECT_THAT(report["warnings"].dump(), HasSubstr("4 samples are too few"));
  EXPECT_TRUE(report["recovery"].is_null()) << report["recovery"];
}

/// 32 samples of a product's 64 inputs: each is one number, of either sign, but in every fourth sample of one sign, and
/// a little more.
std::string two_kinds_of_rows() {
  std::string elements;
  for (int row = 0; row < 32; ++row) {
    for (int i = 0; i < 64; ++i) {
      const auto own = std::cos(static_cast<float>((row * 64 + i) * (row * 64 + i)));
      const float sign = row % 4 != 2 && i % 2 == 1 ? -1.0F : 1.0F;
      const float x = sign * (1 + 0.3F * std::sin(static_cast<float>(row))) + 0.02F * own;
      elements.append(reinterpret_cast<const char*>(&x), sizeof(x));
    }
  }
  return npy("<f4", "32, 64", elements);
}

// The third of each four samples judges first. Where those alone are of another kind, integers that fit the rest do
// worse on them than nearest rounding; where the first of each four judges, both kinds have been fitted.
TEST(Recovery, WhereAQuarterOfTheSamplesSaysNoAnotherIsAsked) {
  const TemporaryFolder folder;
  std::string weights;
  for (int i = 0; i < 64 * 4; ++i) weights += (i == 0 ? "" : ", ") + std::to_string(std::sin(i * i));
  io::save_model(
      graph_from_text("g (float[N,64] x) => (float[N,4] y) <float[64,4] w = {" + weights + "}> { y = MatMul (x, w) }"),
      folder.path("m.onnx"));
  folder.write("x.npy", two_kinds_of_rows());
  const Repeated run = quantize_and_repeat(folder);
  for (const Json& trial : run.recovery["trials"]) {
    if (trial["steps"] == "round") {
      EXPECT_LT(trial["gain_db"], 0);
    }
  }
  EXPECT_EQ(run.recovery["chosen"], "round (8 others held)");
  EXPECT_EQ(run.plan["recovery"]["held"], 0);
}

TEST(Recovery, StepsThatFindNothingToDoDoNotStopTheOthers) {
  const TemporaryFolder folder;
  write_wide_channels(folder);  // no image
  folder.write("c.json", R"({"recovery": ["align", "round"]})");
  const Outcome outcome =
      run_narrow("quantize " + folder.path("m.onnx") + " --data " + folder.path("x.npy") + " --config " +
                 folder.path("c.json") + " --samples 32 --no-speed --quiet --format json -o " + folder.path("a.onnx"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = parse_json(outcome.out, "stdout");
  EXPECT_EQ(report["recovery"]["chosen"], "round");
  EXPECT_THAT(report["warnings"].dump(), HasSubstr("of the config's steps only 'round' found something to do"));
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
