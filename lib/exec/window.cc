#include "lib/exec/window.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

AutoPad auto_pad_of(const onnx::NodeProto& node) {
  const std::string text = graph::string_attribute(node, "auto_pad", "NOTSET");
  if (text == "NOTSET" || text.empty()) return AutoPad::kNotSet;
  if (text == "SAME_UPPER") return AutoPad::kSameUpper;
  if (text == "SAME_LOWER") return AutoPad::kSameLower;
  if (text == "VALID") return AutoPad::kValid;
  throw Error(ErrorKind::kModel, "unknown auto_pad '{}'", text);
}

std::vector<int64_t> or_ones(const std::vector<int64_t>& values, size_t rank) {
  return values.empty() ? std::vector<int64_t>(rank, 1) : values;
}

void resolve_axis(const WindowAttributes& attributes, int64_t size, size_t axis, Window& window) {
  const int64_t stride = window.strides[axis];
  const int64_t extent = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
  if (stride < 1 || window.kernel[axis] < 1 || window.dilations[axis] < 1) {
    throw Error(ErrorKind::kModel, "kernel, strides and dilations must be positive");
  }
  int64_t& begin = window.pads_begin[axis];
  int64_t& end = window.pads_end[axis];
  int64_t count = 0;
  if (attributes.auto_pad == AutoPad::kSameUpper || attributes.auto_pad == AutoPad::kSameLower) {
    count = (size + stride - 1) / stride;
    const int64_t total = std::max<int64_t>(0, (count - 1) * stride + extent - size);
    begin = attributes.auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
    end = total - begin;
  } else {
    const int64_t room = size + begin + end - extent;
    if (room < 0) {
      throw Error(ErrorKind::kModel, "a window of {} does not fit into {} elements padded by {} and {}", extent, size,
                  begin, end);
    }
    count = (attributes.ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
    // A window that would start in the padding behind the input is left out.
    if (attributes.ceil_mode && (count - 1) * stride >= size + begin) --count;
  }
  window.output[axis] = count;
  window.exact_pads_end[axis] = (count - 1) * stride + extent - size - begin;
}

}  // namespace

WindowAttributes window_attributes(const onnx::NodeProto& node) {
  return {.kernel = graph::ints_attribute(node, "kernel_shape"),
          .strides = graph::ints_attribute(node, "strides"),
          .dilations = graph::ints_attribute(node, "dilations"),
          .pads = graph::ints_attribute(node, "pads"),
          .auto_pad = auto_pad_of(node),
          .ceil_mode = graph::int_attribute(node, "ceil_mode", 0) != 0};
}

int64_t group_count(const onnx::NodeProto& node) {
  const int64_t groups = graph::int_attribute(node, "group", 1);
  if (groups < 1) throw Error(ErrorKind::kModel, "channels in {} groups", groups);
  return groups;
}

int64_t group_count(const onnx::NodeProto& node, const Shape& weights) {
  const int64_t groups = group_count(node);
  if (weights.empty() || weights[0] % groups != 0) {
    throw Error(ErrorKind::kModel, "weights {} are not in {} groups", shape_text(weights), groups);
  }
  return groups;
}

Window resolve_window(const WindowAttributes& attributes, const std::vector<int64_t>& spatial,
                      const std::vector<int64_t>& kernel) {
  const size_t rank = spatial.size();
  Window window{.kernel = attributes.kernel.empty() ? kernel : attributes.kernel,
                .strides = or_ones(attributes.strides, rank),
                .dilations = or_ones(attributes.dilations, rank),
                .pads_begin = std::vector<int64_t>(rank, 0),
                .pads_end = std::vector<int64_t>(rank, 0),
                .exact_pads_end = std::vector<int64_t>(rank, 0),
                .output = std::vector<int64_t>(rank, 0)};
  const bool explicit_pads = attributes.auto_pad == AutoPad::kNotSet && !attributes.pads.empty();
  if (window.kernel.size() != rank || window.strides.size() != rank || window.dilations.size() != rank ||
      (explicit_pads && attributes.pads.size() != 2 * rank)) {
    throw Error(ErrorKind::kModel, "kernel, strides, dilations or pads do not fit {} spatial axes", rank);
  }
  if (!kernel.empty() && kernel != window.kernel) {
    throw Error(ErrorKind::kModel, "kernel_shape {} differs from the weight's {}", shape_text(window.kernel),
                shape_text(kernel));
  }
  for (size_t axis = 0; axis < rank; ++axis) {
    if (explicit_pads) {
      window.pads_begin[axis] = attributes.pads[axis];
      window.pads_end[axis] = attributes.pads[rank + axis];
    }
    resolve_axis(attributes, spatial[axis], axis, window);
  }
  return window;
}

Window smallest_window(const WindowAttributes& attributes, const std::vector<int64_t>& kernel) {
  const std::vector<int64_t> dilations = or_ones(attributes.dilations, kernel.size());
  std::vector<int64_t> spatial = kernel;
  for (size_t axis = 0; axis < std::min(kernel.size(), dilations.size()); ++axis) {
    spatial[axis] = (kernel[axis] - 1) * dilations[axis] + 1;
  }
  return resolve_window(attributes, spatial, kernel);
}

std::vector<int64_t> spatial_dimensions(const Shape& shape) {
  if (shape.size() < 3) throw Error(ErrorKind::kModel, "expected rank 3 or more, got {}", shape_text(shape));
  return {shape.begin() + 2, shape.end()};
}

}  // namespace narrow::exec
