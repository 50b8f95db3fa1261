// What calibration data say of each channel (axis 1) of a value.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

struct ChannelStatistics {
  std::vector<double> maxima;   // largest magnitudes
  std::vector<double> squares;  // mean squares
};

using ValueChannels = std::map<std::string, ChannelStatistics>;

/// Values that never came out are left out. The result does not depend on the number of workers.
ValueChannels observe_channels(const graph::Model& model, const Samples& samples,
                               const std::vector<std::string>& values, int workers);

}  // namespace narrow::recover
