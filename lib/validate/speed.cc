#include "lib/validate/speed.h"

#include <algorithm>

#include "lib/base/median.h"
#include "lib/base/parallel.h"
#include "lib/base/progress.h"

namespace narrow::validate {
namespace {

double samples_per_second(const exec::Program& program, const std::vector<exec::Feed>& feeds, Workspace& workspace) {
  const Stopwatch watch;
  for (const exec::Feed& feed : feeds) program.run(feed, workspace);
  return static_cast<double>(feeds.size()) / std::max(watch.seconds(), 1e-9);
}

}  // namespace

Speed measure_speed(const exec::Program& float_program, const exec::Program& integer_program,
                    const std::vector<exec::Feed>& feeds, int repetitions) {
  Workspace float_workspace;
  Workspace integer_workspace;
  std::vector<double> float_rates;
  std::vector<double> integer_rates;
  std::vector<double> ratios;
  for (int i = 0; i <= repetitions; ++i) {
    check_interruption();
    const double float_rate = samples_per_second(float_program, feeds, float_workspace);
    const double integer_rate = samples_per_second(integer_program, feeds, integer_workspace);
    if (i == 0) continue;  // primitives are made and memory is taken in the first round
    float_rates.push_back(float_rate);
    integer_rates.push_back(integer_rate);
    ratios.push_back(integer_rate / float_rate);
  }
  return {.float_samples_per_second = median(std::move(float_rates)),
          .integer_samples_per_second = median(std::move(integer_rates)),
          .ratio = median(std::move(ratios)),
          .repetitions = repetitions,
          .threads = thread_count()};
}

}  // namespace narrow::validate
