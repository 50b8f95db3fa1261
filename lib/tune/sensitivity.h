// What rounding does to the model's outputs: each tensor alone, and each layer and group of layers alone or alone not.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/graph/model.h"
#include "lib/recover/samples.h"
#include "lib/tune/effect.h"
#include "lib/tune/space.h"

namespace narrow::tune {

/// By what is rounded: a component key (it alone is rounded to the nearest, the rest in float32), or a key of
/// LayerGroup.
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

/// Layers that change together, as the config quantizes them or as float32.
struct LayerGroup {
  std::string name;           // "layer NODE", "operator Conv", "block FIRST to LAST", "group PATTERN"
  std::vector<size_t> items;  // of the space

  /// It alone is quantized, the rest is float32.
  std::string quantized_key() const { return "quantized alone: " + name; }
  /// It alone is left in float32. What it reads stays rounded where another layer wants it so.
  std::string float_key() const { return "left float alone: " + name; }
};

inline constexpr const char* kNothingKey = "nothing quantized";
inline constexpr const char* kAllKey = "all quantized";

/// Whether the config rounds anything for the item.
bool is_quantized(const Item& item);

/// Each layer; each operator type that stands for several; each block of several layers between places that a single
/// computed value passes: the blocks of residual nets, attention, inverted bottlenecks. Layers that the config leaves
/// in float32 are in none.
std::vector<LayerGroup> layer_groups(const graph::Model& model, const Space& space);

/// Adds what `known` lacks: kNothingKey, kAllKey, and both keys of each group, each as the model would be that a plan
/// with these layers in float32 gives. What rounding inside bodies of If, Loop and Scan does is seen of constants
/// alone. `labels`: classes of the samples.
Sensitivity measure_groups(const PlanInputs& inputs, const Space& space, const std::vector<LayerGroup>& groups,
                           const recover::Samples& samples, const std::optional<std::vector<int64_t>>& labels,
                           Sensitivity known, const SensitivityOptions& options);

}  // namespace narrow::tune
