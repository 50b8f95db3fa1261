// What calibration data say of each channel (axis 1) of a value.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

/// Other data reach further than the extreme elements of a few samples. Where samples' extremes are as Gumbel has them,
/// those of k times as many samples lie ln(k) * sqrt(6) / pi standard deviations further out: 1.08 for 4 times as many.
constexpr double kReach = 1.08;

struct ChannelStatistics {
  std::vector<double> maxima;       // largest magnitudes
  std::vector<double> spreads;      // standard deviation of the samples' largest magnitudes
  std::vector<double> squares;      // mean squares
  std::vector<double> lows = {};    // smallest elements
  std::vector<double> highs = {};   // largest elements
  std::vector<double> unrest = {};  // standard deviation of the samples' smallest elements
};

using ValueChannels = std::map<std::string, ChannelStatistics>;

/// Statistics of runs as they go; the result does not depend on their order.
class ChannelWatch {
 public:
  explicit ChannelWatch(const std::vector<std::string>& values) : values_(values.begin(), values.end()) {}

  /// Values that are not asked for are left out. Called from several threads at once.
  void on_value(int64_t sample, const std::string& value, const Tensor& tensor);
  /// Of these samples. Values that never came out are left out.
  ValueChannels result(const std::vector<int64_t>& samples) const;

 private:
  /// Sums of one or more samples.
  struct Sums;

  std::set<std::string> values_;
  std::mutex mutex_;
  std::map<int64_t, std::map<std::string, std::shared_ptr<const Sums>>> sums_;  // by sample
};

/// Values that never came out are left out. The result does not depend on the number of workers.
ValueChannels observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers);

}  // namespace narrow::recover
