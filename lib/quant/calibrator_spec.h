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
  bool operator==(const CalibratorSpec&) const = default;
};

/// "minmax", "percentile", "entropy", "mse".
std::string_view calibration_method_name(CalibrationMethod method);
std::vector<std::string> calibration_method_names();
/// Throws Error(kUsage) with a suggestion.
CalibrationMethod calibration_method_from_name(std::string_view name);
/// True if the method needs a histogram and not only the extremes.
bool needs_histogram(CalibrationMethod method);
/// "percentile 99.999", "mse".
std::string calibrator_text(const CalibratorSpec& spec);

}  // namespace narrow::quant
