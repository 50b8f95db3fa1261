// Sliding windows of convolution and pooling: pads and output sizes from attributes and shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/shape.h"

namespace narrow::exec {

enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };

/// As the node says; empty vectors where it says nothing: 1 for strides and dilations, 0 for pads.
struct WindowAttributes {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads;  // all begins, then all ends
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
};

/// One entry per spatial axis; everything resolved.
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  /// pads_end enlarged or cut so that the last window ends exactly at the padded end.
  std::vector<int64_t> exact_pads_end;
  std::vector<int64_t> output;
};

/// Throws Error(kModel) for an unknown auto_pad.
WindowAttributes window_attributes(const onnx::NodeProto& node);

/// The groups that channels of a convolution, transposed or not, are in. Throws Error(kModel) for fewer than one.
int64_t group_count(const onnx::NodeProto& node);
/// The same, where `weights` is known: [M, C/groups, kernel...], transposed [C, M/groups, kernel...]. Throws
/// Error(kModel) if the groups do not divide its first axis.
int64_t group_count(const onnx::NodeProto& node, const Shape& weights);

/// `spatial`: input sizes; `kernel`: used where the attributes have none. Throws Error(kModel) if lengths differ or the
/// window does not fit.
Window resolve_window(const WindowAttributes& attributes, const std::vector<int64_t>& spatial,
                      const std::vector<int64_t>& kernel);

/// The window over inputs that it fits just once. Errors as resolve_window.
Window smallest_window(const WindowAttributes& attributes, const std::vector<int64_t>& kernel);

/// The dimensions behind batch and channels. Throws Error(kModel) for ranks below 3.
std::vector<int64_t> spatial_dimensions(const Shape& shape);

}  // namespace narrow::exec
