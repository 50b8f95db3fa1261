// A float run with observers attached: statistics only, activations are never kept.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "calib/data_reader.h"
#include "calib/histogram.h"
#include "lib/base/progress.h"

namespace narrow::calib {

/// What was seen of one value. Merging is exact and does not depend on the order.
struct ValueStatistics {
  int64_t count = 0;       // finite elements
  int64_t not_finite = 0;  // NaN and infinity, left out of everything else
  float min = 0;           // of the finite elements; 0 if none
  float max = 0;
  std::optional<Histogram> histogram;

  void add(const Tensor& tensor);
  void merge(const ValueStatistics& other);
};

struct Observations {
  std::map<std::string, ValueStatistics> values;
  int64_t samples = 0;
};

/// Sees the same runs. Called from several threads at once.
class RunWatch {
 public:
  virtual ~RunWatch() = default;
  /// Of the values that the program was compiled to tell of. `tensor` may be in any layout, and is gone after the call.
  virtual void on_value(int64_t sample, const std::string& value, const Tensor& tensor) = 0;
  virtual void on_outputs(int64_t sample, const std::vector<Tensor>& outputs) = 0;
};

struct ObserveOptions {
  std::vector<std::string> values;          // to observe
  std::vector<std::string> with_histogram;  // those of them that need one
  std::vector<int64_t> samples;             // feeds to run, by index
  int workers = 1;  // samples run side by side, each on one thread: the result is the same for any number
  Progress progress;
  RunWatch* watch = nullptr;
};

Observations observe(const exec::Program& program, const DataReader& data, const ObserveOptions& options);

}  // namespace narrow::calib
