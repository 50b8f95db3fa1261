// A model as something that runs: float program or integer runtime.
#pragma once

#include <string>
#include <vector>

#include "apps/command_line.h"
#include "lib/exec/program.h"
#include "lib/graph/model.h"

namespace narrow::apps {

enum class Runtime { kAuto, kFloat, kInteger };

void add_runtime_option(CommandLine& line, std::string& name);
/// Throws Error(kUsage) with a suggestion.
Runtime runtime_from_name(const std::string& name);

struct Runner {
  exec::Program program;
  Runtime runtime = Runtime::kFloat;
};

/// kAuto: integer for a model with QuantizeLinear nodes, float otherwise. Throws Error(kUsage) for kInteger on a float
/// model.
Runner make_runner(const graph::Model& model, Runtime runtime);

std::string runtime_name(Runtime runtime);

}  // namespace narrow::apps
