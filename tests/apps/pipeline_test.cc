// The main job on the small real case of tests/data.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "apps/data_source.h"
#include "lib/base/file.h"
#include "lib/base/json.h"
#include "tests/apps/program.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

TEST(Pipeline, TheReportTellsWhatWasMade) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(
      "quantize " + kModel + " --data " + kData + " --config " + kConfig + " -o " + folder.path("out.onnx") +
      " --eval tests/data/glyphs_eval.npy --labels tests/data/glyphs_eval_labels.npy --format json --quiet --report " +
      folder.path("r.json") + " --report " + folder.path("r.html") + " --report " + folder.path("r.xml") +
      " --report " + folder.path("r.md"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(folder.listing(), "out.onnx r.html r.json r.md r.xml");
  const Json report = parse_json(outcome.out, "stdout");
  EXPECT_EQ(outcome.out, read_text(folder.path("r.json")));
  EXPECT_EQ(report["float_model"]["sha256"], sha256(read_text(kModel)));
  EXPECT_EQ(report["quantized_model"]["sha256"], sha256(read_text(folder.path("out.onnx"))));
  EXPECT_EQ(report["calibration"]["samples"], 100);
  EXPECT_EQ(report["calibration"]["data"]["sha256"], sha256(read_text(kData)));
  EXPECT_EQ(report["validation"]["samples"], 500);
  // tests/data/README.md: float 0.944, onnxruntime's own quantization 0.908.
  const Json& output = report["validation"]["outputs"][0];
  EXPECT_DOUBLE_EQ(output["top1_float"].get<double>(), 0.944);
  EXPECT_GE(output["top1_quantized"].get<double>(), 0.89);
  EXPECT_GE(output["agreement"].get<double>(), 0.90);
  EXPECT_GE(report["validation"]["coverage"]["mac_share"].get<double>(), 0.95);
  // A quarter of the float bytes, and scales and int32 biases, which weigh more in a model this small.
  EXPECT_LE(report["weight_size_ratio"].get<double>(), 0.30);
  EXPECT_GT(report["validation"]["speed"]["float_samples_per_second"].get<double>(), 0);
  EXPECT_TRUE(report["passed"].get<bool>());
}

TEST(Pipeline, SameBytesTwiceAndAtAnyThreadCount) {
  const TemporaryFolder folder;
  const auto quantize = [&](const std::string& name, const std::string& more) {
    const Outcome outcome =
        run_narrow(kQuantize + " -o " + folder.path(name + ".onnx") + " --plan-out " + folder.path(name + ".plan") +
                   " --calibration-out " + folder.path(name + ".ranges") + " " + more);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  };
  for (const std::string method : {"minmax", "entropy"}) {
    quantize("a", "--threads 1 --method " + method);
    quantize("b", "--threads 1 --method " + method);
    quantize("c", "--threads 2 --method " + method);
    for (const std::string kind : {".onnx", ".plan", ".ranges"}) {
      EXPECT_EQ(read_text(folder.path("a" + kind)), read_text(folder.path("b" + kind))) << method << kind;
      EXPECT_EQ(read_text(folder.path("a" + kind)), read_text(folder.path("c" + kind))) << method << kind;
    }
  }
}

TEST(Pipeline, StagesRunApartGiveTheSameBytes) {
  const TemporaryFolder folder;
  ASSERT_EQ(
      run_narrow(kQuantize + " -o " + folder.path("whole.onnx") + " --plan-out " + folder.path("whole.plan")).exit_code,
      0);
  const Outcome calibrate = run_narrow("calibrate " + kModel + " --data " + kData + " --config " + kConfig +
                                       " --samples 8 --quiet -o " + folder.path("ranges.json"));
  ASSERT_EQ(calibrate.exit_code, 0) << calibrate.err;
  EXPECT_THAT(calibrate.out, HasSubstr("from 8 samples"));
  const Outcome plan = run_narrow("plan " + kModel + " --calibration " + folder.path("ranges.json") + " --quiet -o " +
                                  folder.path("plan.json"));
  ASSERT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_EQ(read_text(folder.path("plan.json")), read_text(folder.path("whole.plan")));
  const Outcome by_plan = run_narrow("quantize " + kModel + " --plan " + folder.path("plan.json") + " --quiet -o " +
                                     folder.path("by_plan.onnx"));
  ASSERT_EQ(by_plan.exit_code, 0) << by_plan.err;
  EXPECT_THAT(by_plan.out, HasSubstr("not validated"));
  const Outcome by_ranges = run_narrow("quantize " + kModel + " --calibration " + folder.path("ranges.json") +
                                       " --quiet -o " + folder.path("by_ranges.onnx"));
  ASSERT_EQ(by_ranges.exit_code, 0) << by_ranges.err;
  EXPECT_EQ(read_text(folder.path("by_plan.onnx")), read_text(folder.path("whole.onnx")));
  EXPECT_EQ(read_text(folder.path("by_ranges.onnx")), read_text(folder.path("whole.onnx")));
}

TEST(Pipeline, RangesOfAnotherCalibratorAreRefused) {
  const TemporaryFolder folder;
  ASSERT_EQ(run_narrow("calibrate " + kModel + " --data " + kData + " --config " + kConfig +
                       " --samples 4 --method mse --quiet -o " + folder.path("ranges.json"))
                .exit_code,
            0);
  const std::string plan =
      "plan " + kModel + " --calibration " + folder.path("ranges.json") + " --quiet -o " + folder.path("plan.json");
  const Outcome refused = run_narrow(plan);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err,
              HasSubstr("was calibrated by mse for affine uint8 activations, the rules want percentile "
                        "99.999 for affine activations; calibrate again with this config or give --method"));
  EXPECT_EQ(run_narrow(plan + " --method mse").exit_code, 0);
}

TEST(Pipeline, RangesForAnotherSchemeAreRefused) {
  const TemporaryFolder folder;
  Json config = read_json(kConfig);
  config["defaults"] = {{"activations", {{"type", "int8"}, {"symmetric", true}}}};
  const std::string symmetric = folder.write("symmetric.json", config.dump());
  const std::map<std::string, std::string> lines{
      {"minmax", ""},
      {"percentile",
       "by percentile 99.999 for symmetric activations, the rules want percentile 99.999 for affine "
       "activations; calibrate again with this config\n"},
      {"mse", "by mse for symmetric int8 activations, the rules want mse for affine uint8 activations"}};
  for (const auto& [method, line] : lines) {
    const std::string ranges = folder.path(method + ".json");
    const Outcome made = run_narrow("calibrate " + kModel + " --data " + kData + " --config " + symmetric +
                                    " --samples 4 --quiet --method " + method + " -o " + ranges);
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const Outcome used = run_narrow("plan " + kModel + " --calibration " + ranges + " --quiet --method " + method +
                                    " -o " + folder.path("plan.json"));
    EXPECT_EQ(used.exit_code, line.empty() ? 0 : 2) << used.err;
    EXPECT_THAT(used.err, HasSubstr(line));
  }
}

TEST(Pipeline, AFailedGateStillWritesModelAndReports) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow(kQuantize + " --min-sqnr 200 --max-size-ratio 0.99 -o " + folder.path("out.onnx") +
                                     " --report " + folder.path("gates.xml"));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(folder.listing(), "gates.xml out.onnx");
  EXPECT_THAT(outcome.out, testing::ContainsRegex("min_sqnr_db +FAIL"));
  EXPECT_THAT(outcome.out, testing::ContainsRegex("max_size_ratio +PASS"));
  EXPECT_THAT(read_text(folder.path("gates.xml")), HasSubstr("tests=\"2\" failures=\"1\""));
}

TEST(Pipeline, ValidateGivesTheNumbersOfQuantize) {
  const TemporaryFolder folder;
  const std::string data = " --data tests/data/glyphs_eval.npy --labels tests/data/glyphs_eval_labels.npy";
  const Outcome quantize = run_narrow(
      "quantize " + kModel + " --data " + kData + " --config " + kConfig + " --eval tests/data/glyphs_eval.npy" +
      " --labels tests/data/glyphs_eval_labels.npy --no-speed --quiet --format json -o " + folder.path("out.onnx"));
  ASSERT_EQ(quantize.exit_code, 0) << quantize.err;
  const Outcome validate = run_narrow("validate " + kModel + " " + folder.path("out.onnx") + data + " --config " +
                                      kConfig + " --no-speed --quiet --format json");
  ASSERT_EQ(validate.exit_code, 0) << validate.err;
  EXPECT_EQ(parse_json(validate.out, "validate")["validation"], parse_json(quantize.out, "quantize")["validation"]);
}

TEST(Pipeline, EvaluatesOnWhatCalibrationLeft) {
  const TemporaryFolder folder;
  const Outcome some = run_narrow(kQuantize + " -o " + folder.path("out.onnx") + " --format json");
  EXPECT_EQ(parse_json(some.out, "stdout")["validation"]["samples"], 192);
  const Outcome all = run_narrow(kQuantize + " --samples 9 -o " + folder.path("all.onnx") + " --format json");
  EXPECT_EQ(all.exit_code, 2) << "an option given twice";
}

TEST(Pipeline, RemainingSamples) {
  EXPECT_EQ(apps::remaining_samples(5, {1, 3}), (std::vector<int64_t>{0, 2, 4}));
  EXPECT_EQ(apps::remaining_samples(2, {0, 1}), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(apps::remaining_samples(2, {}), (std::vector<int64_t>{0, 1}));
}

TEST(Pipeline, NothingQuantizedIsSaid) {
  const TemporaryFolder folder;
  const std::string config = folder.write("c.json", R"({"rules": [{"match": {"name": "*"}, "keep": "float32"}],
    "inputs": {"image": {"layout": "NCHW", "scale": 0.00784313725490196, "mean": [1.0], "std": [1.0]}}})");
  const Outcome outcome = run_narrow("quantize " + kModel + " --data " + kData + " --config " + config +
                                     " --samples 2 --no-speed --min-integer-macs 0.5 -o " + folder.path("out.onnx"));
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("narrow: warning: nothing was quantized: of 27 nodes none runs on integers; the "
                                     "reason for 27: kept in float32 by a rule"));
  EXPECT_THAT(outcome.out, HasSubstr("warnings\n  nothing was quantized"));
}

TEST(Pipeline, NothingQuantizedIsForTheLayersOwnReason) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow("quantize " + kModel + " --data " + kData + " --config " + kConfig +
                                     " --set weights=int2 --samples 2 --no-speed -o " + folder.path("out.onnx"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("the target can not run it on integers: onnxruntime has no kernel for int2 weights"));
}

TEST(Pipeline, EveryNodeThatStaysFloatHasItsReason) {
  const TemporaryFolder folder;
  const std::string config = folder.write("c.json", R"({"rules": [{"match": {"op": "Gemm"}, "keep": "float32",
    "reason": "the head is precious"}], "inputs": {"image": {"layout": "NCHW", "scale": 0.00784313725490196,
    "mean": [1.0], "std": [1.0]}}})");
  const Outcome outcome = run_narrow("quantize " + kModel + " --data " + kData + " --config " + config +
                                     " --samples 4 --no-speed --quiet --format json -o " + folder.path("out.onnx"));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json report = parse_json(outcome.out, "stdout");
  int64_t floats = 0;
  for (const Json& layer : report["plan"]["layers"]) {
    if (layer["decision"] != "float32") continue;
    ++floats;
    EXPECT_TRUE(layer.contains("reason")) << layer;
  }
  EXPECT_GE(floats, 1);
  for (const Json& node : report["validation"]["coverage"]["nodes"]) {
    EXPECT_TRUE(node["integer"].get<bool>() || node.contains("reason")) << node;
  }
  EXPECT_THAT(outcome.out, HasSubstr("the head is precious"));
}

TEST(Pipeline, WeightOnlyNeedsNoDataAndFeedsBackTheSameBytes) {
  const TemporaryFolder folder;
  const std::string modes[] = {"--set mode=weight_only --set weights.type=int4 --set weights.block=16",
                               "--set mode=dynamic",
                               "--set mode=float16",
                               "--set mode=weight_only --set weights.type=binary",
                               "--set mode=weight_only --set weights.type=codebook --set weights.channels=3",
                               "--set mode=weight_only --set weights.rounding=stochastic --set weights.seed=3"};
  for (const std::string& mode : modes) {
    const Outcome first = run_narrow("quantize " + kModel + " -o " + folder.path("a.onnx") + " --plan-out " +
                                     folder.path("plan.json") + " --quiet " + mode);
    ASSERT_EQ(first.exit_code, 0) << mode << first.err;
    const Outcome second = run_narrow("quantize " + kModel + " -o " + folder.path("b.onnx") + " --quiet --plan " +
                                      folder.path("plan.json"));
    ASSERT_EQ(second.exit_code, 0) << mode << second.err;
    EXPECT_EQ(read_text(folder.path("a.onnx")), read_text(folder.path("b.onnx"))) << mode;
  }
}

TEST(Pipeline, StochasticRoundingFollowsTheSeedAlone) {
  const TemporaryFolder folder;
  const auto bytes = [&](const std::string& seed, const std::string& threads) {
    const Outcome outcome =
        run_narrow("quantize " + kModel + " -o " + folder.path("a.onnx") + " --quiet --threads " + threads +
                   " --set mode=weight_only --set weights.rounding=stochastic" + " --set weights.seed=" + seed);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return read_text(folder.path("a.onnx"));
  };
  const std::string first = bytes("1", "1");
  EXPECT_EQ(bytes("1", "2"), first);
  EXPECT_NE(bytes("2", "1"), first);
}

TEST(Pipeline, BinaryAndCodebookWeightsAreForFloatOperators) {
  for (const std::string type : {"binary", "codebook"}) {
    const Outcome outcome = run_narrow("plan " + kModel + " --quiet --explain /classifier --set weights=" + type);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(type + " weights are floats when the model runs"));
  }
}

TEST(Pipeline, StaticWithoutDataNamesWhatNeedsARange) {
  const TemporaryFolder folder;
  const Outcome outcome = run_narrow("quantize " + kModel + " -o " + folder.path("a.onnx") + " --quiet");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("option --data is missing"));
}

TEST(Pipeline, ADryRunPredictsTheFileWithinAPercent) {
  const TemporaryFolder folder;
  const std::string sets[] = {"",
                              " --set mode=weight_only --set weights=int8",
                              " --set mode=dynamic",
                              " --set mode=float16",
                              " --set mode=weight_only --set weights=binary",
                              " --set mode=weight_only --set weights=codebook"};
  for (const std::string& set : sets) {
    const Outcome dry = run_narrow("plan " + kModel + " --dry-run --format json --quiet" + set);
    ASSERT_EQ(dry.exit_code, 0) << dry.err;
    const auto predicted = parse_json(dry.out, "dry run")["file_bytes"].get<double>();
    const Outcome real = run_narrow(kQuantize + " -o " + folder.path("a.onnx") + " --quiet --no-speed" + set);
    ASSERT_EQ(real.exit_code, 0) << real.err;
    const auto bytes = static_cast<double>(read_text(folder.path("a.onnx")).size());
    EXPECT_NEAR(predicted, bytes, bytes / 100) << set;
  }
}

TEST(Pipeline, ExplainSaysWhichRuleChangedWhat) {
  const TemporaryFolder folder;
  write_file(folder.path("c.json"), R"({"rules": [{"match": {"op": "Gemm"}, "weights": "int16"},
    {"match": {"last": 1}, "mode": "weight_only"}]})");
  const std::string plan = "plan " + kModel + " --quiet --config " + folder.path("c.json") + " --explain ";
  const Outcome known = run_narrow(plan + "/classifier");
  ASSERT_EQ(known.exit_code, 0) << known.err;
  EXPECT_THAT(known.out, HasSubstr("/classifier (Gemm): weight_only"));
  EXPECT_THAT(known.out, HasSubstr("weights.type: int8 -> int16 by rules[0] (op Gemm)"));
  EXPECT_THAT(known.out, HasSubstr("mode: static -> weight_only by rules[1] (last 1)"));
  const Outcome unknown = run_narrow(plan + "/classifyer");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("--explain: the model has no node '/classifyer'; did you mean '/classifier'?"));
}

}  // namespace
}  // namespace narrow::test
