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

  /// Largest magnitude of each channel.
  std::vector<double> magnitudes() const;
};

struct RowOptions {
  int64_t rows = 0;  // of each value that are kept, about
  int workers = 1;   // the result does not depend on it
};

/// Values that never came out as float32 are left out.
std::map<std::string, RowStatistics> observe_rows(const graph::Model& model, const Samples& samples,
                                                  const std::vector<std::string>& values, const RowOptions& options);

}  // namespace narrow::recover
