#include "lib/runtime/kernels/window.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"

namespace narrow::runtime {
namespace {

AutoPad auto_pad_from_name(const std::string& name) {
  if (name == "NOTSET") return AutoPad::kNotSet;
  if (name == "SAME_UPPER") return AutoPad::kSameUpper;
  if (name == "SAME_LOWER") return AutoPad::kSameLower;
  if (name == "VALID") return AutoPad::kValid;
  throw Error(ErrorKind::kModel, "unknown auto_pad '{}'", name);
}

std::vector<int64_t> sized(const onnx::NodeProto& node, std::string_view name, size_t size, int64_t otherwise) {
  std::vector<int64_t> values = graph::ints_attribute(node, name, std::vector<int64_t>(size, otherwise));
  if (values.size() != size)
    throw Error(ErrorKind::kModel, "attribute {} has {} entries, not {}", name, values.size(), size);
  return values;
}

int64_t extent(const Window& window, size_t i) {
  return (window.kernel[i] - 1) * window.dilations[i] + 1;
}

}  // namespace

Window read_window(const onnx::NodeProto& node, std::vector<int64_t> kernel) {
  Window window;
  window.kernel = kernel.empty() ? graph::ints_attribute(node, "kernel_shape") : std::move(kernel);
  const size_t axes = window.kernel.size();
  window.strides = sized(node, "strides", axes, 1);
  window.dilations = sized(node, "dilations", axes, 1);
  const std::vector<int64_t> pads = sized(node, "pads", 2 * axes, 0);
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes));
  window.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(axes), pads.end());
  window.auto_pad = auto_pad_from_name(graph::string_attribute(node, "auto_pad", "NOTSET"));
  window.ceil_mode = graph::int_attribute(node, "ceil_mode", 0) != 0;
  for (size_t i = 0; i < axes; ++i) {
    if (window.kernel[i] < 1 || window.strides[i] < 1 || window.dilations[i] < 1) {
      throw Error(ErrorKind::kModel, "kernel, strides and dilations must be positive");
    }
  }
  return window;
}

Padding padding_for(const Window& window, std::span<const int64_t> spatial) {
  const size_t axes = window.kernel.size();
  Padding padding{window.pads_begin, window.pads_end};
  for (size_t i = 0; i < axes; ++i) {
    if (window.auto_pad == AutoPad::kValid) padding.begin[i] = padding.end[i] = 0;
    if (window.auto_pad == AutoPad::kSameUpper || window.auto_pad == AutoPad::kSameLower) {
      const int64_t out = (spatial[i] + window.strides[i] - 1) / window.strides[i];
      const int64_t total = std::max<int64_t>(0, (out - 1) * window.strides[i] + extent(window, i) - spatial[i]);
      const int64_t less = total / 2;
      padding.begin[i] = window.auto_pad == AutoPad::kSameUpper ? less : total - less;
      padding.end[i] = total - padding.begin[i];
    } else if (window.ceil_mode) {
      const int64_t room = spatial[i] + padding.begin[i] + padding.end[i] - extent(window, i);
      int64_t out = (room + window.strides[i] - 1) / window.strides[i] + 1;
      // A last window that would start in the end padding does not count.
      if ((out - 1) * window.strides[i] >= spatial[i] + padding.begin[i]) --out;
      padding.end[i] += (out - 1) * window.strides[i] - room;
    }
  }
  return padding;
}

int64_t output_size(const Window& window, const Padding& padding, std::span<const int64_t> spatial, size_t i) {
  const int64_t room = spatial[i] + padding.begin[i] + padding.end[i] - extent(window, i);
  if (room < 0) {
    throw Error(ErrorKind::kModel, "a window of {} does not fit a padded input of {}", extent(window, i),
                room + extent(window, i));
  }
  return room / window.strides[i] + 1;
}

Shape window_result_shape(const Window& window, const Padding& padding, const Shape& input, int64_t channels) {
  Shape shape{input[0], channels};
  const auto spatial = spatial_of(input, window.kernel.size());
  for (size_t i = 0; i < spatial.size(); ++i) shape.push_back(output_size(window, padding, spatial, i));
  return shape;
}

std::span<const int64_t> spatial_of(const Shape& shape, size_t axes) {
  if (shape.size() != axes + 2) {
    throw Error(ErrorKind::kModel, "shape {} does not have {} spatial axes", shape_text(shape), axes);
  }
  return std::span<const int64_t>(shape).subspan(2);
}

}  // namespace narrow::runtime
