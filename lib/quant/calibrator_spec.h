// Which published method turns a statistic into a range, as configs and plans spell it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace narrow::quant {

enum class CalibrationMethod { kMinMax, kPercentile, kEntropy, kMse };

struct CalibratorSpec {
  CalibrationMethod method = CalibrationMethod::kPercentile;
  double percentile = 99.999;  // kPercentile: share of elements, in percent, that the range keeps
  /// The same method with the same parameters, those that it has.
  bool operator==(const CalibratorSpec& other) const;
};

/// What of the scheme a value will have the method's choice depends on.
enum class SchemeUse { kNothing, kSymmetry, kTypeAndSymmetry };

/// "minmax", "percentile", "entropy", "mse".
std::string_view calibration_method_name(CalibrationMethod method);
std::vector<std::string> calibration_method_names();
/// Throws Error(kUsage) with a suggestion.
CalibrationMethod calibration_method_from_name(std::string_view name);
/// True if the method needs a histogram and not only the extremes.
bool needs_histogram(CalibrationMethod method);
SchemeUse scheme_use(CalibrationMethod method);
/// "percentile 99.999", "mse".
std::string calibrator_text(const CalibratorSpec& spec);

}  // namespace narrow::quant
