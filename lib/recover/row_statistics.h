// Rows of activations (their last axis) over calibration data: extremes of each channel, and some of the rows.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lib/graph/model.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

struct RowStatistics {
  std::vector<float> low;   // of each channel, at most 0
  std::vector<float> high;  // at least 0
  std::vector<float> rows;  // [n, channels], spread over samples and positions
  int64_t samples = 0;
  std::vector<double> sums;     // of each channel, over the samples' largest magnitudes
  std::vector<double> squares;  // of these

  /// How wide each channel is: root mean square of the samples' largest magnitudes. Not the largest of all, which is
  /// another one on other data: channels divided by what they happened to reach would all fill a range that is as
  /// narrow as these samples made it. A narrow channel whose large elements come from a few samples alone, such as
  /// those that a Relu nearly always closes, tells little of the next one that opens it: the fewer they are, the nearer
  /// it counts to the channels' median.
  std::vector<double> sizes() const;
};

struct RowOptions {
  int64_t rows = 0;  // of each value that are kept, about
  int workers = 1;   // the result does not depend on it
};

/// Values that never came out as float32 are left out.
std::map<std::string, RowStatistics> observe_rows(const graph::Model& model, const Samples& samples,
                                                  const std::vector<std::string>& values, const RowOptions& options);

}  // namespace narrow::recover
