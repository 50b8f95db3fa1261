#pragma once

#include <limits>
#include <optional>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/plan/rules.h"
#include "lib/quant/quant_params.h"

namespace narrow::plan {

/// What Relu or Clip clamps to.
struct ClampBounds {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

/// Bounds of a Relu or Clip node; nullopt for a Clip whose bounds are not constant.
std::optional<ClampBounds> clamp_bounds(const graph::Model& model, const graph::GraphIndex& index,
                                        const onnx::NodeProto& node);

/// True if quantization of the clamp's output by this scheme clamps as the node does for any range within the bounds:
/// the range of values clamped at 0 begins at 0, which is then the type's lowest integer.
bool folds_surely(const ClampBounds& bounds, const LayerScheme& scheme);

/// True if it does so with these very parameters: quantize(low) is qmin and quantize(high) is qmax.
bool folds_exactly(const ClampBounds& bounds, const quant::QuantParams& params);

}  // namespace narrow::plan
