// Arithmetic with constants around a linear product, taken into the product's weights, bias and pads.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "lib/exec/fuse.h"

namespace narrow::exec {

/// Output channels of a product, and where constants that go by them have them.
struct ProductChannels {
  int64_t count = 0;
  size_t rank = 0;  // of constants that leave the result's rank as it is, at most
  size_t from_back = 1;
  bool second_axis = true;  // of the result: what BatchNormalization goes by
};

/// y = x * scale + shift
struct ScaleAndShift {
  double scale = 1;
  double shift = 0;
};

/// The value, or nullptr if it is not constant.
using FindConstant = std::function<const Tensor*(const std::string&)>;

/// True if `node`, which reads the product's result `value`, only scales and shifts output channels by constants.
bool scales_channels(const onnx::NodeProto& node, int opset, const std::string& value, const ProductChannels& channels,
                     const FindConstant& find);

/// What such a node does to one channel.
ScaleAndShift scale_and_shift(const onnx::NodeProto& node, const FindConstant& find, size_t channel);

/// What nodes one behind the other do to the channels of a product: y = x * scales[c], and its bias with all of them.
struct ChannelFold {
  std::vector<double> scales;
  Tensor bias;  // float32 [channels]
};

/// In float64. `bias` [channels] is the product's own, or undefined.
ChannelFold fold_channels(std::span<const onnx::NodeProto* const> nodes, const FindConstant& find, const Tensor& bias,
                          size_t channels);

/// scales_channels() for a product with constant float weights.
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
