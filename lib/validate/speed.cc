#include "lib/validate/speed.h"

#include "lib/base/median.h"
#include "lib/base/parallel.h"

namespace narrow::validate {

Speed measure_speed(TimedRuns& float_runs, TimedRuns& integer_runs, int turns) {
  std::vector<double> float_seconds;
  std::vector<double> integer_seconds;
  std::vector<double> ratios;
  float_runs.run();  // primitives are made and memory is taken in the first run
  integer_runs.run();
  for (int turn = 0; turn < turns; ++turn) {
    float_seconds.push_back(float_runs.turn(kTurnSeconds));
    integer_seconds.push_back(integer_runs.turn(kTurnSeconds));
    ratios.push_back(float_seconds.back() / integer_seconds.back());
  }
  return {.float_samples_per_second = 1 / median(std::move(float_seconds)),
          .integer_samples_per_second = 1 / median(std::move(integer_seconds)),
          .ratio = median(std::move(ratios)),
          .turns = turns,
          .threads = thread_count()};
}

}  // namespace narrow::validate
