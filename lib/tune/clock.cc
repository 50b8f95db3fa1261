#include "lib/tune/clock.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "lib/exec/float_program.h"
#include "lib/runtime/lower.h"
#include "lib/validate/latency.h"
#include "lib/validate/speed.h"

namespace narrow::tune {
namespace {

constexpr double kSeconds = 0.25;  // of a measurement's float half
constexpr int kLeastRepetitions = 5;
constexpr int kMostRepetitions = 500;

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
    : program_(exec::compile_float(float_model)), feeds_(std::move(feeds)) {
  const auto count = static_cast<double>(feeds_.size());
  const auto measure = [&](int repetitions) {
    return 1 / validate::measure_speed(program_, program_, feeds_, repetitions).float_samples_per_second;
  };
  const double rough = measure(1);
  const double repetitions = std::ceil(kSeconds / (count * rough));
  repetitions_ = static_cast<int>(std::clamp<double>(repetitions, kLeastRepetitions, kMostRepetitions));
  float_seconds_ = measure(repetitions_);
}

double Clock::seconds(const graph::Model& quantized) const {
  const runtime::LoweredModel lowered = runtime::lower(quantized);
  return float_seconds_ / validate::measure_speed(program_, lowered.program, feeds_, repetitions_).ratio;
}

void Clock::time_options(const graph::Model& quantized, Space& space) const {
  std::map<std::string, size_t> items;
  for (size_t i = 0; i < space.items.size(); ++i) items[space.items[i].node] = i;
  const runtime::LoweredModel lowered = runtime::lower(quantized);
  const validate::StepTimes times = validate::time_steps(program_, lowered.program, feeds_, repetitions_);
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
