#include "apps/input_outliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "lib/recover/ordered_samples.h"

namespace narrow::apps {
namespace {

constexpr size_t kLeastSamples = 8;  // fewer do not tell what is usual
constexpr size_t kMostOfEach = 20;   // samples, of which one may be beyond
// Levels of 8 bits are 256: of such a range the others get none. The largest of 100 samples is 3 to 4 times the next
// where tails fall as x^-2, and 1000 times once in a million.
constexpr double kBeyond = 1000;

/// The value furthest from 0, of those that are finite.
struct Furthest {
  int64_t sample = 0;
  float value = 0;
};

float furthest_of(const Tensor& tensor) {
  float furthest = 0;
  for (const float x : tensor.data<float>()) {
    if (std::isfinite(x) && std::abs(x) > std::abs(furthest)) furthest = x;
  }
  return furthest;
}

bool is_beyond(const Furthest& one, const Furthest& next) {
  return next.value != 0 &&
         std::abs(static_cast<double>(one.value)) > kBeyond * std::abs(static_cast<double>(next.value));
}

std::string text_of(const std::string& input, const std::vector<Furthest>& beyond, const Furthest& next) {
  std::string found;
  for (const Furthest& one : beyond) {
    found += fmt::format("{}sample {} has {:.4g}", found.empty() ? "" : ", ", one.sample, one.value);
  }
  return fmt::format(
      "input '{}': {}, where no other calibration sample goes beyond {:.4g}: in a range that holds it the others have "
      "no levels left; check the data (samples count from 0)",
      input, found, std::abs(next.value));
}

}  // namespace

std::vector<std::string> outlier_warnings(const calib::DataReader& data, const std::vector<int64_t>& samples,
                                          int workers) {
  if (samples.size() < kLeastSamples) return {};
  std::vector<std::map<std::string, float>> seen(samples.size());
  std::map<std::string, std::vector<Furthest>> inputs;
  recover::for_each_in_order(
      static_cast<int64_t>(samples.size()), workers,
      [&](int, int64_t i) {
        const auto at = static_cast<size_t>(i);
        for (const auto& [name, tensor] : data.read(samples[at])) {
          if (tensor.type() == DataType::kFloat32 && tensor.size() > 0) seen[at][name] = furthest_of(tensor);
        }
      },
      [&](int, int64_t i) {
        const auto at = static_cast<size_t>(i);
        for (const auto& [name, value] : seen[at]) inputs[name].push_back({.sample = samples[at], .value = value});
      });
  std::vector<std::string> warnings;
  for (auto& [name, furthest] : inputs) {
    std::stable_sort(furthest.begin(), furthest.end(),
                     [](const Furthest& a, const Furthest& b) { return std::abs(a.value) > std::abs(b.value); });
    const size_t most = std::max<size_t>(furthest.size() / kMostOfEach, 1);
    for (size_t i = 0; i < most && i + 1 < furthest.size(); ++i) {
      if (!is_beyond(furthest[i], furthest[i + 1])) continue;
      const auto end = furthest.begin() + static_cast<std::ptrdiff_t>(i) + 1;
      warnings.push_back(text_of(name, {furthest.begin(), end}, *end));
      break;
    }
  }
  return warnings;
}

}  // namespace narrow::apps
