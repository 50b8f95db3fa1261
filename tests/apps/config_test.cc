#include "apps/config.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"

namespace narrow::apps {
namespace {

Config config_of(const std::string& text, const ConfigFlags& flags = {}) {
  return make_config(ConfigSource("c.json", text), flags);
}

std::string error_of(const std::string& text, const ConfigFlags& flags = {}) {
  try {
    config_of(text, flags);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(Config, DefaultsAreAGoodStaticInt8Model) {
  const Config config = read_config({});
  EXPECT_EQ(config.samples, 100);
  EXPECT_EQ(config.rules.target, plan::Target::kOnnxruntime);
  EXPECT_FALSE(config.gates.any());
  EXPECT_EQ(recipe_text(config.rules), "int8 weights per channel, uint8 activations, percentile 99.999");
}

TEST(Config, AFlagBeatsTheConfigAndTheConfigTheDefault) {
  const std::string text = R"({"calibration": {"method": "entropy", "samples": 7}, "gates": {"min_sqnr_db": 20}})";
  EXPECT_EQ(config_of(text).samples, 7);
  EXPECT_EQ(config_of(text).rules.defaults.calibrator.method, quant::CalibrationMethod::kEntropy);
  ConfigFlags flags;
  flags.samples = 9;
  flags.method = "mse";
  flags.gates.min_sqnr_db = 30;
  flags.gates.min_agreement = 0.5;
  const Config config = config_of(text, flags);
  EXPECT_EQ(config.samples, 9);
  EXPECT_EQ(config.rules.defaults.calibrator.method, quant::CalibrationMethod::kMse);
  EXPECT_EQ(config.gates.min_sqnr_db, 30);
  EXPECT_EQ(config.gates.min_agreement, 0.5);
}

TEST(Config, APercentileAloneMeansThePercentileMethod) {
  ConfigFlags flags;
  flags.percentile = 99.5;
  const Config config = config_of("{}", flags);
  EXPECT_EQ(config.rules.defaults.calibrator.method, quant::CalibrationMethod::kPercentile);
  EXPECT_EQ(config.rules.defaults.calibrator.percentile, 99.5);
}

TEST(Config, MistakesNameFileAndPath) {
  EXPECT_EQ(error_of(R"({"gate": {}})"), "c.json:1: gate: unknown key; did you mean 'gates'?");
  EXPECT_EQ(error_of(R"({"gates": {"min_sqnr_db": "high"}})"), "c.json:1: gates.min_sqnr_db: expected a number");
  EXPECT_EQ(error_of(R"({"calibration": {"samples": 0}})"), "c.json:1: calibration.samples: must be at least 1");
  EXPECT_EQ(error_of(R"({"calibration": 5})"), "c.json:1: calibration: expected an object");
  EXPECT_EQ(error_of(R"([1, 2])"), "c.json:1: expected an object");
  EXPECT_EQ(error_of(R"({"target": "gpu"})"),
            "c.json:1: target: unknown target 'gpu'; known: onnxruntime, openvino, tensorrt, x86-avx2, generic");
  ConfigFlags flags;
  flags.samples = 3;
  EXPECT_EQ(error_of(R"({"calibration": 5})", flags), "c.json:1: calibration: expected an object");
}

}  // namespace
}  // namespace narrow::apps
