// How the time of a program is measured, wherever it is: `bench`, and the search under a limit of latency.
#pragma once

#include <vector>

#include "lib/exec/program.h"

namespace narrow::validate {

/// Long enough that what another program left in the caches does not count.
constexpr double kTurnSeconds = 0.02;

/// Runs of one program, timed one by one.
class TimedRuns {
 public:
  /// `feeds`: at least one. The program must outlive this.
  TimedRuns(const exec::Program& program, std::vector<exec::Feed> feeds);

  /// Seconds of one run of the next feed.
  double run(exec::StepTimer* timer = nullptr);
  /// Runs each feed of shapes of its own, so that no turn makes primitives.
  void warm_up();
  /// Runs of feed number `index` modulo their number, at least one, until `seconds` are over: as in a program that runs
  /// nothing else, caches hold what this one needs. Returns their median.
  double turn(size_t index, double seconds);
  /// Seconds of each run of all turns.
  const std::vector<double>& latencies() const { return latencies_; }

 private:
  double timed(const exec::Feed& feed, exec::StepTimer* timer);

  const exec::Program& program_;
  std::vector<exec::Feed> feeds_;
  size_t next_ = 0;
  Workspace workspace_;
  std::vector<double> latencies_;
};

}  // namespace narrow::validate
