#include "lib/validate/timed_runs.h"

#include <set>

#include "lib/base/median.h"
#include "lib/base/progress.h"

namespace narrow::validate {

TimedRuns::TimedRuns(const exec::Program& program, std::vector<exec::Feed> feeds)
    : program_(program), feeds_(std::move(feeds)) {}

double TimedRuns::timed(const exec::Feed& feed, exec::StepTimer* timer) {
  check_interruption();
  const Stopwatch watch;
  program_.run(feed, workspace_, {.timer = timer});
  return watch.seconds();
}

double TimedRuns::run(exec::StepTimer* timer) {
  return timed(feeds_[next_++ % feeds_.size()], timer);
}

void TimedRuns::warm_up() {
  std::set<std::vector<Shape>> known;
  for (const exec::Feed& feed : feeds_) {
    std::vector<Shape> shapes;
    for (const auto& [name, tensor] : feed) shapes.push_back(tensor.shape());
    if (known.insert(std::move(shapes)).second) timed(feed, nullptr);
  }
}

double TimedRuns::turn(size_t index, double seconds) {
  const exec::Feed& feed = feeds_[index % feeds_.size()];
  std::vector<double> runs;
  const Stopwatch watch;
  do {
    runs.push_back(timed(feed, nullptr));
  } while (watch.seconds() < seconds);
  latencies_.insert(latencies_.end(), runs.begin(), runs.end());
  return median(std::move(runs));
}

}  // namespace narrow::validate
