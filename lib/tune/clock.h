// Times quantized models beside the float model, so that a machine that drifts does so for both.
#pragma once

#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/tune/space.h"
#include "lib/validate/timed_runs.h"

namespace narrow::tune {

class Clock {
 public:
  /// Each turn of runs takes the next of `feeds`, at least one; medians over turns count.
  Clock(const graph::Model& float_model, std::vector<exec::Feed> feeds);

  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// Seconds of one run of the float model, measured once.
  double float_seconds() const { return float_seconds_; }
  /// Seconds of one run on integer kernels: the ratio to the float model, both in turn, times float_seconds().
  double seconds(const graph::Model& quantized);

  /// Sets Option::seconds from the steps of `quantized`, the model as the config says: on integers what these take, in
  /// float32 what the float model's take. Where a step computes several items, each has its share of the products.
  void time_options(const graph::Model& quantized, Space& space) const;

 private:
  exec::Program program_;
  std::vector<exec::Feed> feeds_;
  validate::TimedRuns float_runs_;
  double float_seconds_ = 0;
};

}  // namespace narrow::tune
