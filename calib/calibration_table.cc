#include "calib/calibration_table.h"

#include <cmath>

namespace narrow::calib {
namespace {

constexpr std::string_view kFormat = "narrow-calibration";
constexpr int64_t kVersion = 1;

Json to_json(const quant::CalibratorSpec& calibrator) {
  Json json;
  json["method"] = quant::calibration_method_name(calibrator.method);
  if (calibrator.method == quant::CalibrationMethod::kPercentile) json["percentile"] = calibrator.percentile;
  return json;
}

Json to_json(const CalibratedValue& value) {
  Json json;
  json["rmin"] = json_float(value.range.rmin);
  json["rmax"] = json_float(value.range.rmax);
  json["min"] = json_float(value.min);
  json["max"] = json_float(value.max);
  json["count"] = value.count;
  json["not_finite"] = value.not_finite;
  json["calibrator"] = to_json(value.calibrator);
  return json;
}

float read_float(JsonObject& object, const std::string& key) {
  const auto value = static_cast<float>(object.get<double>(key));
  if (!std::isfinite(value)) object.fail(key, "is not a float32");
  return value;
}

int64_t read_count(JsonObject& object, const std::string& key) {
  const auto value = object.get<int64_t>(key);
  if (value < 0) object.fail(key, "is negative");
  return value;
}

quant::CalibratorSpec read_calibrator(JsonObject object) {
  quant::CalibratorSpec calibrator;
  const auto method = object.get<std::string>("method");
  calibrator.method = in_context(object.path_of("method"), [&] { return quant::calibration_method_from_name(method); });
  if (calibrator.method == quant::CalibrationMethod::kPercentile) {
    calibrator.percentile = object.get<double>("percentile");
    if (!(calibrator.percentile > 0 && calibrator.percentile <= 100)) {
      object.fail("percentile", "is not above 0 and at most 100");
    }
  }
  object.finish();
  return calibrator;
}

CalibratedValue read_value(JsonObject object) {
  CalibratedValue value;
  value.range = {read_float(object, "rmin"), read_float(object, "rmax")};
  value.min = read_float(object, "min");
  value.max = read_float(object, "max");
  value.count = read_count(object, "count");
  value.not_finite = read_count(object, "not_finite");
  value.calibrator = read_calibrator(object.object("calibrator"));
  if (value.range.rmin > 0) object.fail("rmin", "is above 0: a range contains 0");
  if (value.range.rmax < 0) object.fail("rmax", "is below 0: a range contains 0");
  if (value.min > value.max) object.fail("min", "is above max");
  object.finish();
  return value;
}

}  // namespace

Json to_json(const CalibrationTable& table) {
  Json json;
  json["format"] = kFormat;
  json["version"] = kVersion;
  json["model_sha256"] = table.model_sha256;
  json["data"] = table.data;
  json["samples"] = table.samples;
  Json values = Json::object();
  for (const auto& [name, value] : table.values) values[name] = to_json(value);
  json["values"] = std::move(values);
  return json;
}

CalibrationTable calibration_table_from_json(const Json& json) {
  JsonObject object(json, "");
  object.expect_format(kFormat, kVersion);
  CalibrationTable table;
  table.model_sha256 = object.get<std::string>("model_sha256");
  table.data = object.get<std::string>("data");
  table.samples = read_count(object, "samples");
  JsonObject values = object.object("values");
  for (const std::string& name : values.keys()) table.values[name] = read_value(values.object(name));
  object.finish();
  return table;
}

}  // namespace narrow::calib
