#include "calib/choose_ranges.h"

#include <algorithm>
#include <array>
#include <exception>

#include "calib/calibrators/calibrators.h"
#include "lib/base/error.h"
#include "lib/base/parallel.h"

namespace narrow::calib {
namespace {

using quant::CalibrationMethod;
using quant::Range;

struct CalibratorRow {
  CalibrationMethod method;
  Range (*choose)(const ValueStatistics& seen, const CalibratorChoice& choice);
};

constexpr std::array kCalibrators{
    CalibratorRow{CalibrationMethod::kMinMax,
                  [](const ValueStatistics& seen, const CalibratorChoice&) { return minmax_range(seen); }},
    CalibratorRow{CalibrationMethod::kPercentile,
                  [](const ValueStatistics& seen, const CalibratorChoice& choice) {
                    return percentile_range(seen, choice.calibrator.percentile, choice.scheme);
                  }},
    CalibratorRow{
        CalibrationMethod::kEntropy,
        [](const ValueStatistics& seen, const CalibratorChoice& choice) { return entropy_range(seen, choice.scheme); }},
    CalibratorRow{
        CalibrationMethod::kMse,
        [](const ValueStatistics& seen, const CalibratorChoice& choice) { return mse_range(seen, choice.scheme); }},
};

const CalibratorRow& calibrator(CalibrationMethod method) {
  const auto found = std::find_if(kCalibrators.begin(), kCalibrators.end(),
                                  [&](const CalibratorRow& row) { return row.method == method; });
  ensure(found != kCalibrators.end(), "each calibration method has a calibrator");
  return *found;
}

CalibratedValue calibrated_value(const ValueStatistics& statistics, const CalibratorChoice& choice) {
  return {.range = choose_range(statistics, choice),
          .min = statistics.min,
          .max = statistics.max,
          .count = statistics.count,
          .not_finite = statistics.not_finite,
          .calibrator = choice.calibrator,
          .scheme = choice.scheme};
}

}  // namespace

Range choose_range(const ValueStatistics& seen, const CalibratorChoice& choice) {
  if (seen.min == 0 && seen.max == 0) return {0, 0};
  ensure(seen.histogram || !quant::needs_histogram(choice.calibrator.method), "the calibrator has its histogram");
  const double percentile = choice.calibrator.percentile;
  if (choice.calibrator.method == CalibrationMethod::kPercentile && !(percentile > 0 && percentile <= 100)) {
    throw Error(ErrorKind::kUsage, "percentile {} is not above 0 and at most 100", percentile);
  }
  const Range chosen = calibrator(choice.calibrator.method).choose(seen, choice);
  const float lowest = std::min(seen.min, 0.0F);
  const float highest = std::max(seen.max, 0.0F);
  return {std::clamp(chosen.rmin, lowest, 0.0F), std::clamp(chosen.rmax, 0.0F, highest)};
}

std::map<std::string, CalibratedValue> choose_ranges(const Observations& seen,
                                                     const std::map<std::string, CalibratorChoice>& choices) {
  struct Choice {
    const ValueStatistics* statistics;
    const CalibratorChoice* choice;
    CalibratedValue* value;
    const std::string* name;
    std::exception_ptr failure;
  };
  std::map<std::string, CalibratedValue> result;
  std::vector<Choice> work;
  for (const auto& [name, statistics] : seen.values) {
    const auto choice = choices.find(name);
    ensure(choice != choices.end(), "each observed value has a calibrator");
    work.push_back({&statistics, &choice->second, &result[name], &name, nullptr});
  }
  const auto workers = static_cast<int>(std::min<size_t>(static_cast<size_t>(thread_count()), work.size()));
  run_workers(workers, [&](int worker) {
    for (size_t i = static_cast<size_t>(worker); i < work.size(); i += static_cast<size_t>(workers)) {
      Choice& one = work[i];
      try {
        *one.value = in_context(fmt::format("value '{}'", *one.name),
                                [&] { return calibrated_value(*one.statistics, *one.choice); });
      } catch (...) {
        one.failure = std::current_exception();
      }
    }
  });
  for (const Choice& one : work) {
    if (one.failure) std::rethrow_exception(one.failure);
  }
  return result;
}

}  // namespace narrow::calib
