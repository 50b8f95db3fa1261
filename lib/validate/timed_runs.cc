#include "lib/validate/timed_runs.h"

#include "lib/base/median.h"
#include "lib/base/progress.h"

namespace narrow::validate {

TimedRuns::TimedRuns(const exec::Program& program, std::vector<exec::Feed> feeds)
    : program_(program), feeds_(std::move(feeds)) {}

const exec::Feed& TimedRuns::next_feed() {
  return feeds_[next_++ % feeds_.size()];
}

double TimedRuns::timed(const exec::Feed& feed, exec::StepTimer* timer) {
  check_interruption();
  const Stopwatch watch;
  program_.run(feed, workspace_, {.timer = timer});
  return watch.seconds();
}

double TimedRuns::run(exec::StepTimer* timer) {
  return timed(next_feed(), timer);
}

double TimedRuns::turn(double seconds) {
  const exec::Feed& feed = next_feed();
  std::vector<double> runs;
  const Stopwatch watch;
  do {
    runs.push_back(timed(feed, nullptr));
  } while (watch.seconds() < seconds);
  latencies_.insert(latencies_.end(), runs.begin(), runs.end());
  return median(std::move(runs));
}

}  // namespace narrow::validate
