// What each rounded tensor alone does to the model's outputs.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/graph/model.h"
#include "lib/recover/samples.h"
#include "lib/tune/space.h"

namespace narrow::tune {

/// One component alone rounded to the nearest, the rest in float32.
struct Effect {
  double noise = 0;                  // noise power over signal power at the outputs, mean over them
  std::optional<double> divergence;  // of outputs with class scores: mean sum p log(p / q) in nats
  std::optional<double> agreement;   // share of rows whose best class stays

  double sqnr_db() const;  // +infinity without noise
};

/// By component key.
using Sensitivity = std::map<std::string, Effect>;

struct SensitivityOptions {
  int workers = 1;  // the numbers do not depend on it
  /// Given what is known so far now and then, and when an interruption or an error ends the work.
  std::function<void(const Sensitivity& known)> keep;
  Progress progress;
};

/// Adds what `known` lacks. The float values in front of a component are computed once; only what follows it is
/// computed again.
Sensitivity measure_sensitivity(const graph::Model& model, const std::vector<Component>& components,
                                const recover::Samples& samples, Sensitivity known, const SensitivityOptions& options);

}  // namespace narrow::tune
