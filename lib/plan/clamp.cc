#include "lib/plan/clamp.h"

#include <cmath>

namespace narrow::plan {
namespace {

/// A Clip bound: input `slot`, absent or constant. False if it is neither.
bool read_bound(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node, int slot,
                float& bound) {
  if (node.input_size() <= slot || node.input(slot).empty()) return true;
  const onnx::TensorProto* initializer = index.initializer(node.input(slot));
  if (initializer == nullptr) return false;
  const Tensor tensor = to_float32(model.tensor(*initializer));
  if (tensor.size() != 1) return false;
  bound = tensor.data<float>()[0];
  return true;
}

}  // namespace

std::optional<ClampBounds> clamp_bounds(const graph::Model& model, const graph::GraphIndex& index,
                                        const onnx::NodeProto& node) {
  ClampBounds bounds;
  if (node.op_type() == "Relu") {
    bounds.low = 0;
    return bounds;
  }
  if (!read_bound(model, index, node, 1, bounds.low) || !read_bound(model, index, node, 2, bounds.high))
    return std::nullopt;
  return bounds;
}

bool folds_surely(const ClampBounds& bounds, const LayerScheme& scheme) {
  const bool affine = !scheme.activations_symmetric && !quant::row(scheme.activations).is_float;
  return affine && bounds.low == 0 && bounds.high > 0;
}

bool folds_exactly(const ClampBounds& bounds, const quant::QuantParams& params) {
  if (quant::row(params.type).is_float) return false;
  const auto quantized = [&](float x) {
    return quant::quantize_value(x, params.scales[0], params.zero_points[0], params.type);
  };
  const bool low = std::isinf(bounds.low) || quantized(bounds.low) == quant::row(params.type).qmin;
  const bool high = std::isinf(bounds.high) || quantized(bounds.high) == quant::row(params.type).qmax;
  return low && high;
}

}  // namespace narrow::plan
