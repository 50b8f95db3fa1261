// The sliding window of a convolution or pooling, with padding that may depend on the input's size.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/shape.h"

namespace narrow::runtime {

enum class AutoPad { kNotSet, kSameUpper, kSameLower, kValid };

/// One entry per spatial axis (1 to 3).
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
};

/// Padding for one input size. `end` is what makes the floor formula give the output size, so with ceil_mode it may
/// exceed the declared padding.
struct Padding {
  std::vector<int64_t> begin;
  std::vector<int64_t> end;
  bool operator<(const Padding& other) const { return begin != other.begin ? begin < other.begin : end < other.end; }
};

/// Reads kernel_shape (unless `kernel` is given), strides, dilations, pads, auto_pad and ceil_mode. Throws
/// Error(kModel) for lists of the wrong length.
Window read_window(const onnx::NodeProto& node, std::vector<int64_t> kernel = {});

Padding padding_for(const Window& window, std::span<const int64_t> spatial);

/// Output size along axis `i`; throws Error(kModel) if the window does not fit.
int64_t output_size(const Window& window, const Padding& padding, std::span<const int64_t> spatial, size_t i);

/// [N, channels, output sizes...] for an input of shape [N, C, spatial...].
Shape window_result_shape(const Window& window, const Padding& padding, const Shape& input, int64_t channels);

/// Spatial part of [N, C, spatial...]; throws Error(kModel) unless there are `axes` of them.
std::span<const int64_t> spatial_of(const Shape& shape, size_t axes);

}  // namespace narrow::runtime
