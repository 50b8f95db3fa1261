// Scale migration: channels of an activation that are much wider than others are divided by factors, and the weights
// that read them multiplied. G. Xiao et al., "SmoothQuant" (arXiv:2211.10438): factor = max|x|^a / max|w|^(1 - a).
// The powers of both are searched for each value by the error of its products, as J. Lin et al., "AWQ"
// (arXiv:2306.00978) do for weights alone.
//
// The division is taken by constants in front where there are any (scale_path.h), else by a Mul.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/samples.h"

namespace narrow::recover {

struct SmoothOptions {
  int workers = 1;                            // the result does not depend on it
  int64_t memory_bytes = int64_t{128} << 20;  // of activations that the search looks at
  Progress progress;
};

/// Values that the search would look at: their channels can be scaled, and the plan rounds weights that read them.
std::vector<std::string> smoothable(const graph::Model& model, const plan::PrecisionPlan& plan);

/// Powers for the values whose channels the quantized MatMul and Gemm of the plan read, where they pay: error of the
/// products on rows of the samples, activations and weights rounded as the plan does.
std::vector<plan::SmoothedValue> search_smoothing(const graph::Model& model, const plan::PrecisionPlan& plan,
                                                  const Samples& samples, const SmoothOptions& options);

/// The same function (but for rounding in float32). Throws Error(kUsage) for a value that no MatMul or Gemm with
/// constant weights reads.
graph::Model smooth(const graph::Model& model, const std::vector<plan::SmoothedValue>& values, const Samples& samples,
                    int workers);

/// What `smoothed` has in place of the values of the model that smooth() made it from.
std::vector<std::string> smoothed_values(const graph::Model& model, const graph::Model& smoothed,
                                         const std::vector<plan::SmoothedValue>& values);

/// With every factor 1: the nodes and names of smooth()'s result, for checking plans without data.
graph::Model smooth_nodes(const graph::Model& model, const std::vector<plan::SmoothedValue>& values);

}  // namespace narrow::recover
