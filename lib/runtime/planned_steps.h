// The steps of a program while it is being planned: values by name, not yet in the order they run in.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/exec/program.h"

namespace narrow::runtime {

struct PlannedStep {
  exec::StepInfo info;
  exec::KernelPtr kernel;
  std::vector<std::string> inputs;   // "" is absent
  std::vector<std::string> outputs;  // "": nobody needs it
  /// The row of the coverage that this step alone makes a float one: integers, should nobody need the step.
  std::optional<size_t> island_row = {};
};

/// Each step behind those that make its inputs; stable otherwise.
std::vector<PlannedStep> sorted(std::vector<PlannedStep> steps);

/// Clears outputs that neither a later step nor `outputs` needs, and the kernels of steps that nothing needs. Steps
/// must be sorted. Returns all needed values.
std::unordered_set<std::string> mark_needed(std::vector<PlannedStep>& steps, std::unordered_set<std::string> outputs);

}  // namespace narrow::runtime
