#include "lib/tune/standard_error.h"

#include <algorithm>
#include <cmath>

namespace narrow::tune {

std::vector<ErrorStatistics> without_each(std::span<const ErrorStatistics> samples) {
  std::vector<ErrorStatistics> behind(samples.size() + 1);  // sums of sample i and all after it
  for (size_t i = samples.size(); i > 0; --i) {
    behind[i - 1] = behind[i];
    behind[i - 1].add(samples[i - 1]);
  }
  std::vector<ErrorStatistics> result;
  ErrorStatistics before;
  for (size_t i = 0; i < samples.size(); ++i) {
    result.push_back(before);
    result.back().add(behind[i + 1]);
    before.add(samples[i]);
  }
  return result;
}

double jackknife_error(double whole, std::span<const double> without, double most) {
  if (!std::isfinite(whole)) return 0;
  if (without.size() < 2) return most;
  std::vector<double> differences;
  double mean = 0;
  for (const double figure : without) {
    differences.push_back(std::isnan(figure) ? most : std::clamp(figure - whole, -most, most));
    mean += differences.back() / static_cast<double>(without.size());
  }
  double squares = 0;
  for (const double difference : differences) squares += (difference - mean) * (difference - mean);
  const auto count = static_cast<double>(without.size());
  return std::sqrt((count - 1) / count * squares);
}

}  // namespace narrow::tune
