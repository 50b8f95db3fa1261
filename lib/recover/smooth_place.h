// Where channels of an activation can be scaled against the weights that read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/plan/recovery.h"
#include "lib/recover/scale_path.h"

namespace narrow::recover {

struct SmoothPlace {
  std::string value;
  int64_t channels = 0;                          // its last axis
  std::vector<const onnx::NodeProto*> products;  // MatMul and Gemm with constant weights that read it, in graph order
  std::optional<std::vector<ScaledConstant>> path;  // absent: a Mul in front of the products
};

/// nullopt where no such product reads the value, or they differ in channels.
std::optional<SmoothPlace> smooth_place(const graph::Model& model, const graph::GraphIndex& index,
                                        const std::string& value);

/// Every value with one, in graph order of the first product.
std::vector<SmoothPlace> smooth_places(const graph::Model& model, const graph::GraphIndex& index);

/// Axis of the product's weight, from the end, that is summed over.
int64_t summed_axis(const onnx::NodeProto& product);

/// Of each channel the largest magnitude in the products' weights.
std::vector<double> weight_magnitudes(const graph::Model& model, const graph::GraphIndex& index,
                                      const SmoothPlace& place);

/// What the channels are divided by, with geometric mean 1. `activations`: how wide they are, `weights`: largest
/// magnitudes, by channel.
std::vector<double> smooth_factors(const std::vector<double>& activations, const std::vector<double>& weights,
                                   const plan::SmoothedValue& powers);

}  // namespace narrow::recover
