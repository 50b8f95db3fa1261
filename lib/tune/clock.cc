#include "lib/tune/clock.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "lib/base/median.h"
#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "lib/validate/latency.h"

namespace narrow::tune {
namespace {

constexpr size_t kFloatTurns = 20;
constexpr size_t kLeastTurns = 8;
constexpr size_t kMostTurns = 40;
constexpr double kSureWithin = 0.004;  // standard error of a ratio, at which more turns tell nothing that matters
constexpr double kStepSeconds = 0.25;  // for the times of steps
constexpr int kLeastRepetitions = 5;
constexpr int kMostRepetitions = 500;

/// Standard error of the median, from the values' deviations from it: a turn that was interrupted does not count.
double standard_error(const std::vector<double>& values, double middle) {
  constexpr double kDeviationOfMedian = 1.4826;  // of normal values, against their median absolute deviation
  constexpr double kErrorOfMedian = 1.2533;      // against the mean's
  std::vector<double> deviations;
  for (const double value : values) deviations.push_back(std::abs(value - middle));
  return kErrorOfMedian * kDeviationOfMedian * median(std::move(deviations)) /
         std::sqrt(static_cast<double>(values.size()));
}

/// The items that a layer computes.
std::vector<size_t> items_in(const validate::LayerLatency& layer, const std::map<std::string, size_t>& items) {
  std::vector<size_t> result;
  for (const std::string& node : layer.nodes) {
    if (const auto found = items.find(node); found != items.end()) result.push_back(found->second);
  }
  return result;
}

}  // namespace

Clock::Clock(const graph::Model& float_model, std::vector<exec::Feed> feeds)
    : program_(exec::compile_float(float_model)), feeds_(std::move(feeds)), float_runs_(program_, feeds_) {
  float_runs_.warm_up();
  std::vector<double> seconds;
  for (size_t turn = 0; turn < kFloatTurns; ++turn) seconds.push_back(float_runs_.turn(turn, validate::kTurnSeconds));
  float_seconds_ = median(std::move(seconds));
}

double Clock::seconds(const graph::Model& quantized) {
  const runtime::LoweredModel lowered = runtime::lower(quantized);
  validate::TimedRuns runs(lowered.program, feeds_);
  runs.warm_up();
  std::vector<double> ratios;
  for (size_t turn = 0; turn < kMostTurns; ++turn) {
    const double reference = float_runs_.turn(turn, validate::kTurnSeconds);
    ratios.push_back(runs.turn(turn, validate::kTurnSeconds) / reference);
    const double middle = median(ratios);
    if (turn + 1 >= kLeastTurns && standard_error(ratios, middle) <= kSureWithin * middle) break;
  }
  return float_seconds_ * median(std::move(ratios));
}

void Clock::time_options(const graph::Model& quantized, Space& space) const {
  std::map<std::string, size_t> items;
  for (size_t i = 0; i < space.items.size(); ++i) items[space.items[i].node] = i;
  const runtime::LoweredModel lowered = runtime::lower(quantized);
  const double repetitions = std::ceil(kStepSeconds / (static_cast<double>(feeds_.size()) * float_seconds_));
  const validate::StepTimes times =
      validate::time_steps(program_, lowered.program, feeds_,
                           static_cast<int>(std::clamp<double>(repetitions, kLeastRepetitions, kMostRepetitions)));
  space.float_seconds = 0;
  for (const validate::LayerLatency& layer : validate::layer_latencies(times, lowered)) {
    const std::vector<size_t> members = items_in(layer, items);
    double macs = 0;
    for (const size_t item : members) macs += std::max(space.items[item].macs, 1.0);
    for (const size_t item : members) {
      const double share = std::max(space.items[item].macs, 1.0) / macs;
      for (Option& option : space.items[item].options) {
        option.seconds = share * (option.on_integers || option.half ? layer.integer_seconds : layer.float_seconds);
      }
      space.float_seconds += share * layer.float_seconds;
    }
  }
}

}  // namespace narrow::tune
