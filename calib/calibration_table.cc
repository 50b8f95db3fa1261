#include "calib/calibration_table.h"

#include <fmt/format.h>

#include <cmath>

namespace narrow::calib {
namespace {

constexpr std::string_view kFormat = "narrow-calibration";
constexpr int64_t kVersion = 2;

bool looks_at_type(quant::CalibrationMethod method) {
  return quant::scheme_use(method) == quant::SchemeUse::kTypeAndSymmetry;
}

bool looks_at_symmetry(quant::CalibrationMethod method) {
  return quant::scheme_use(method) != quant::SchemeUse::kNothing;
}

Json to_json(const quant::CalibratorSpec& calibrator, const quant::Scheme& scheme) {
  Json json;
  json["method"] = quant::calibration_method_name(calibrator.method);
  if (calibrator.method == quant::CalibrationMethod::kPercentile) json["percentile"] = calibrator.percentile;
  if (looks_at_type(calibrator.method)) json["type"] = quant::name(scheme.type);
  if (looks_at_symmetry(calibrator.method)) json["symmetric"] = scheme.symmetric;
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
  json["calibrator"] = to_json(value.calibrator, value.scheme);
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

void read_calibrator(JsonObject object, CalibratedValue& value) {
  quant::CalibratorSpec& calibrator = value.calibrator;
  const auto method = object.get<std::string>("method");
  calibrator.method = object.checked("method", [&] { return quant::calibration_method_from_name(method); });
  if (calibrator.method == quant::CalibrationMethod::kPercentile) {
    calibrator.percentile = object.get<double>("percentile");
    if (!(calibrator.percentile > 0 && calibrator.percentile <= 100)) {
      object.fail("percentile", "is not above 0 and at most 100");
    }
  }
  if (looks_at_type(calibrator.method)) {
    const auto type = object.get<std::string>("type");
    value.scheme.type = object.checked("type", [&] { return quant::quant_type_from_name(type); });
  }
  if (looks_at_symmetry(calibrator.method)) value.scheme.symmetric = object.get<bool>("symmetric");
  object.finish();
}

CalibratedValue read_value(JsonObject object) {
  CalibratedValue value;
  value.range = {read_float(object, "rmin"), read_float(object, "rmax")};
  value.min = read_float(object, "min");
  value.max = read_float(object, "max");
  value.count = read_count(object, "count");
  value.not_finite = read_count(object, "not_finite");
  read_calibrator(object.object("calibrator"), value);
  if (value.range.rmin > 0) object.fail("rmin", "is above 0: a range contains 0");
  if (value.range.rmax < 0) object.fail("rmax", "is below 0: a range contains 0");
  if (value.min > value.max) object.fail("min", "is above max");
  object.finish();
  return value;
}

}  // namespace

std::string choice_text(const quant::CalibratorSpec& calibrator, const quant::Scheme& scheme) {
  std::string text = quant::calibrator_text(calibrator);
  if (!looks_at_symmetry(calibrator.method)) return text;
  text += scheme.symmetric ? " for symmetric" : " for affine";
  if (looks_at_type(calibrator.method)) text += fmt::format(" {}", quant::name(scheme.type));
  return text + " activations";
}

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
