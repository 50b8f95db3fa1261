#include "lib/quant/calibrator_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::quant {
namespace {

struct MethodRow {
  CalibrationMethod method;
  std::string_view name;
  bool needs_histogram;
  SchemeUse uses;
};

constexpr std::array kMethods{
    MethodRow{CalibrationMethod::kMinMax, "minmax", false, SchemeUse::kNothing},
    MethodRow{CalibrationMethod::kPercentile, "percentile", true, SchemeUse::kSymmetry},
    MethodRow{CalibrationMethod::kEntropy, "entropy", true, SchemeUse::kTypeAndSymmetry},
    MethodRow{CalibrationMethod::kMse, "mse", true, SchemeUse::kTypeAndSymmetry},
};

const MethodRow& row_of(CalibrationMethod method) {
  return *std::find_if(kMethods.begin(), kMethods.end(), [&](const MethodRow& r) { return r.method == method; });
}

}  // namespace

bool CalibratorSpec::operator==(const CalibratorSpec& other) const {
  return method == other.method && (method != CalibrationMethod::kPercentile || percentile == other.percentile);
}

std::string_view calibration_method_name(CalibrationMethod method) {
  return row_of(method).name;
}

std::vector<std::string> calibration_method_names() {
  std::vector<std::string> names;
  for (const MethodRow& r : kMethods) names.emplace_back(r.name);
  return names;
}

CalibrationMethod calibration_method_from_name(std::string_view name) {
  for (const MethodRow& r : kMethods) {
    if (r.name == name) return r.method;
  }
  throw Error(ErrorKind::kUsage, "unknown calibration method '{}'{}", name,
              did_you_mean(name, calibration_method_names()));
}

bool needs_histogram(CalibrationMethod method) {
  return row_of(method).needs_histogram;
}

SchemeUse scheme_use(CalibrationMethod method) {
  return row_of(method).uses;
}

std::string calibrator_text(const CalibratorSpec& spec) {
  if (spec.method == CalibrationMethod::kPercentile) return fmt::format("percentile {}", spec.percentile);
  return std::string(calibration_method_name(spec.method));
}

}  // namespace narrow::quant
