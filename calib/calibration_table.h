// Ranges by value, as a versioned JSON file that can be reviewed, cached and fed back.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "lib/base/json.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/quant/quant_params.h"

namespace narrow::calib {

struct CalibratedValue {
  quant::Range range;  // what the calibrator chose, widened to contain 0
  float min = 0;       // what was seen
  float max = 0;
  int64_t count = 0;
  int64_t not_finite = 0;
  quant::CalibratorSpec calibrator;
  quant::Scheme scheme;  // that it chose for; tables hold what the calibrator looks at
};

struct CalibrationTable {
  std::string model_sha256;  // of the model file it was made from
  std::string data;          // what it was made from, for people
  int64_t samples = 0;
  std::map<std::string, CalibratedValue> values;
};

/// "mse for symmetric int8 activations": the calibrator and as much of the scheme as its choice depends on. Two values
/// with the same statistics and the same text have the same range.
std::string choice_text(const quant::CalibratorSpec& calibrator, const quant::Scheme& scheme);

Json to_json(const CalibrationTable& table);
/// Throws Error(kUsage) with the path of what is wrong.
CalibrationTable calibration_table_from_json(const Json& json);

}  // namespace narrow::calib
