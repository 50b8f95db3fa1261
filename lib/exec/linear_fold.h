// Arithmetic with constants around a linear product, taken into the product's weights, bias and pads.
#pragma once

#include <vector>

#include "lib/exec/fuse.h"

namespace narrow::exec {

/// True if `node`, which reads the product's result `value`, only scales and shifts output channels by constants.
bool folds_into_product(const onnx::NodeProto& node, const std::string& value, const onnx::NodeProto& product,
                        const FusionContext& context);

/// True if the Pad puts constant zeros around the spatial axes, none of them negative.
bool spatial_zero_padding(const onnx::NodeProto& pad, const FusionContext& context);

/// A product's constants: `weights` with its output channels on axis `channel_axis`, `bias` [channels] or undefined.
struct ProductConstants {
  Tensor weights;
  Tensor bias;
  size_t channel_axis = 0;
};

/// The same with the nodes folded in, in float64: w' = w * scale[c], b' = b * scale[c] + shift[c].
ProductConstants fold_linear(ProductConstants product, const FusedGroup& group, const Constants& constants);

/// The convolution with the Pad's zeros as its own, and its input.
onnx::NodeProto with_padding(const onnx::NodeProto& convolution, const onnx::NodeProto& pad,
                             const Constants& constants);

}  // namespace narrow::exec
