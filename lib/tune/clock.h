// Times quantized models beside the float model, so that a machine that drifts does so for both.
#pragma once

#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/tune/space.h"

namespace narrow::tune {

class Clock {
 public:
  /// `feeds`, at least one, are timed by their median.
  Clock(const graph::Model& float_model, std::vector<exec::Feed> feeds);

  /// Seconds of one run of the float model, measured once.
  double float_seconds() const { return float_seconds_; }
  /// Seconds of one run on integer kernels: the ratio to the float model, both in turn, times float_seconds().
  double seconds(const graph::Model& quantized) const;

  /// Sets Option::seconds from the steps of `quantized`, the model as the config says: on integers what these take, in
  /// float32 what the float model's take. Where a step computes several items, each has its share of the products.
  void time_options(const graph::Model& quantized, Space& space) const;

 private:
  exec::Program program_;
  std::vector<exec::Feed> feeds_;
  double float_seconds_ = 0;
  int repetitions_ = 1;
};

}  // namespace narrow::tune
