#include "calib/calibration_table.h"

#include <gtest/gtest.h>

#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

CalibrationTable small_table() {
  CalibrationTable table{.model_sha256 = "abc", .data = "images", .samples = 100, .values = {}};
  table.values["relu"] = {.range = {0.0F, 0.1F},
                          .min = 0,
                          .max = 1.0F / 3,
                          .count = 5000000000,
                          .not_finite = 2,
                          .calibrator = {.method = quant::CalibrationMethod::kPercentile, .percentile = 99.9},
                          .scheme = {}};
  table.values["conv/α"] = {.range = {-1.5F, 2.0F},
                            .min = -1.5F,
                            .max = 2.0F,
                            .count = 1,
                            .not_finite = 0,
                            .calibrator = {.method = quant::CalibrationMethod::kMse},
                            .scheme = {.type = quant::QuantType::kInt8, .symmetric = true}};
  return table;
}

std::string refused(const std::function<void(Json&)>& change) {
  Json json = to_json(small_table());
  change(json);
  return message_of(ErrorKind::kUsage, [&] { calibration_table_from_json(json); });
}

TEST(CalibrationTableTest, TextIsStable) {
  CalibrationTable table = small_table();
  table.values.erase("conv/α");
  EXPECT_EQ(json_text(to_json(table)), R"({
  "format": "narrow-calibration",
  "version": 2,
  "model_sha256": "abc",
  "data": "images",
  "samples": 100,
  "values": {
    "relu": {
      "rmin": 0.0,
      "rmax": 0.1,
      "min": 0.0,
      "max": 0.33333334,
      "count": 5000000000,
      "not_finite": 2,
      "calibrator": {
        "method": "percentile",
        "percentile": 99.9,
        "symmetric": false
      }
    }
  }
}
)");
}

TEST(CalibrationTableTest, ReadsBackToTheSameValuesAndBytes) {
  const std::string text = json_text(to_json(small_table()));
  const CalibrationTable read = calibration_table_from_json(parse_json(text, "t"));
  EXPECT_EQ(json_text(to_json(read)), text);
  EXPECT_EQ(read.values.at("relu").max, 1.0F / 3);
  EXPECT_EQ(read.values.at("relu").calibrator, small_table().values.at("relu").calibrator);
  EXPECT_EQ(read.values.at("conv/α").range, (quant::Range{-1.5F, 2.0F}));
  EXPECT_EQ(read.values.at("conv/α").scheme.type, quant::QuantType::kInt8);
  EXPECT_TRUE(read.values.at("conv/α").scheme.symmetric);
}

TEST(CalibrationTableTest, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refused([](Json& t) { t["version"] = 1; }), "version: 1 is unknown; this program reads version 2");
  EXPECT_EQ(refused([](Json& t) { t["format"] = "x"; }), "format: expected 'narrow-calibration'");
  EXPECT_EQ(refused([](Json& t) { t["sample"] = 2; }), "sample: unknown key; did you mean 'samples'?");
  EXPECT_EQ(refused([](Json& t) { t["values"]["relu"]["rmax"] = 1e60; }), "values.relu.rmax: is not a float32");
  EXPECT_EQ(refused([](Json& t) { t["values"]["relu"]["rmin"] = 0.5; }),
            "values.relu.rmin: is above 0: a range contains 0");
  EXPECT_EQ(refused([](Json& t) { t["values"]["conv/α"]["calibrator"].erase("type"); }),
            "values.conv/α.calibrator.type: is missing");
  EXPECT_EQ(refused([](Json& t) { t["values"]["relu"].erase("count"); }), "values.relu.count: is missing");
  EXPECT_EQ(refused([](Json& t) { t["values"]["relu"]["count"] = -1; }), "values.relu.count: is negative");
  EXPECT_EQ(refused([](Json& t) { t["values"]["relu"]["calibrator"]["method"] = "mimax"; }),
            "values.relu.calibrator.method: unknown calibration method 'mimax'; did you mean 'minmax'?");
}

TEST(CalibrationTableTest, AChoiceIsToldByWhatItDependsOn) {
  const quant::Scheme affine{.type = quant::QuantType::kUint8, .symmetric = false};
  const quant::Scheme symmetric{.type = quant::QuantType::kInt8, .symmetric = true};
  const auto text = [](quant::CalibrationMethod method, const quant::Scheme& scheme) {
    return choice_text({.method = method, .percentile = 99}, scheme);
  };
  EXPECT_EQ(text(quant::CalibrationMethod::kMinMax, affine), "minmax");
  EXPECT_EQ(text(quant::CalibrationMethod::kMinMax, symmetric), "minmax");
  EXPECT_EQ(text(quant::CalibrationMethod::kPercentile, symmetric), "percentile 99 for symmetric activations");
  EXPECT_EQ(text(quant::CalibrationMethod::kEntropy, affine), "entropy for affine uint8 activations");
  EXPECT_EQ(text(quant::CalibrationMethod::kMse, symmetric), "mse for symmetric int8 activations");
}

}  // namespace
}  // namespace narrow::calib
