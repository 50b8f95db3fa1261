#include "lib/validate/speed.h"

#include "lib/base/median.h"
#include "lib/base/parallel.h"

namespace narrow::validate {

Speed measure_speed(TimedRuns& float_runs, TimedRuns& integer_runs, int turns) {
  std::vector<double> float_seconds;
  std::vector<double> integer_seconds;
  std::vector<double> ratios;
  float_runs.warm_up();
  integer_runs.warm_up();
  for (int turn = 0; turn < turns; ++turn) {
    const auto at = static_cast<size_t>(turn);
    float_seconds.push_back(float_runs.turn(at, kTurnSeconds));
    integer_seconds.push_back(integer_runs.turn(at, kTurnSeconds));
    ratios.push_back(float_seconds.back() / integer_seconds.back());
  }
  return {.float_samples_per_second = 1 / median(std::move(float_seconds)),
          .integer_samples_per_second = 1 / median(std::move(integer_seconds)),
          .ratio = median(std::move(ratios)),
          .turns = turns,
          .threads = thread_count()};
}

}  // namespace narrow::validate
