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

struct ChannelStatistics {
  std::vector<double> maxima;   // largest magnitudes
  std::vector<double> spreads;  // standard deviation of the samples' largest magnitudes
  std::vector<double> squares;  // mean squares
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

  static std::vector<double> spreads_of(const std::vector<const Sums*>& samples, size_t channels);

  std::set<std::string> values_;
  std::mutex mutex_;
  std::map<int64_t, std::map<std::string, std::shared_ptr<const Sums>>> sums_;  // by sample
};

/// Values that never came out are left out. The result does not depend on the number of workers.
ValueChannels observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers);

}  // namespace narrow::recover
