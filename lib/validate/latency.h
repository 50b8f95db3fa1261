// What each layer takes in float and on integers, and why where integers gain nothing.
#pragma once

#include <vector>

#include "lib/exec/program.h"
#include "lib/runtime/lower.h"
#include "lib/validate/validate.h"

namespace narrow::validate {

/// The time of one step of a program in one run.
struct StepTime {
  exec::StepInfo info;
  std::string implementation;
  double seconds = 0;
};

/// Median time of each step over `repetitions` runs of each feed, one program after the other with each, so that caches
/// hold what the running one needs; steps that ran.
struct StepTimes {
  std::vector<StepTime> reference;
  std::vector<StepTime> integer;
};
StepTimes time_steps(const exec::Program& float_program, const exec::Program& integer_program,
                     const std::vector<exec::Feed>& feeds, int repetitions);

/// Steps of both programs that compute the same nodes, joined until no node is in two layers: one program may fuse what
/// the other keeps apart. In the order of the integer program, then what only the float one has.
std::vector<LayerLatency> layer_latencies(const StepTimes& times, const runtime::LoweredModel& lowered);

}  // namespace narrow::validate
