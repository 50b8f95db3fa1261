#include "lib/recover/columns.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"

namespace narrow::recover {
namespace {

/// Height and width of what has one or two spatial axes: one axis is an image one pixel high.
std::pair<int64_t, int64_t> height_and_width(const std::vector<int64_t>& spatial, int64_t absent) {
  return spatial.size() == 1 ? std::pair{absent, spatial[0]} : std::pair{spatial[0], spatial[1]};
}

/// Steps in memory from an element of [batch, channels, ...] to the next sample's, channel's and position's.
struct Steps {
  int64_t batch = 0;
  int64_t channel = 0;
  int64_t position = 0;
};

Steps steps_of(const Tensor& tensor) {
  const int64_t channels = tensor.shape()[1];
  const int64_t inner = tensor.size() / std::max<int64_t>(tensor.shape()[0] * channels, 1);
  const bool plain = tensor.layout() == Layout::kPlain;
  return {.batch = channels * inner, .channel = plain ? inner : 1, .position = plain ? 1 : channels};
}

int64_t last_of(const Shape& shape) {
  return shape.empty() ? 1 : shape.back();
}

}  // namespace

std::optional<Columns> Columns::of(const onnx::NodeProto& node, const Shape& weight) {
  Columns result;
  if (node.op_type() == "Conv") {
    if (weight.size() != 3 && weight.size() != 4) return std::nullopt;
    result.convolution_ = true;
    result.groups_ = graph::int_attribute(node, "group", 1);
    result.outputs_ = weight[0] / result.groups_;
    result.columns_ = element_count(weight) / weight[0];
    result.window_ = exec::window_attributes(node);
    result.kernel_.assign(weight.begin() + 2, weight.end());
    return result;
  }
  const bool gemm = node.op_type() == "Gemm" && graph::int_attribute(node, "transA", 0) == 0;
  if ((!gemm && node.op_type() != "MatMul") || weight.size() != 2) return std::nullopt;
  result.weight_transposed_ = !gemm || graph::int_attribute(node, "transB", 0) == 0;
  result.columns_ = weight[result.weight_transposed_ ? 0 : 1];
  result.outputs_ = weight[result.weight_transposed_ ? 1 : 0];
  return result;
}

size_t Columns::weight_index(int64_t group, int64_t output, int64_t column) const {
  if (weight_transposed_) return static_cast<size_t>(column * outputs_ + output);
  return static_cast<size_t>((group * outputs_ + output) * columns_ + column);
}

int64_t Columns::positions(const Shape& output) const {
  const int64_t channels = convolution_ ? groups_ * outputs_ : last_of(output);
  return channels == 0 ? 0 : element_count(output) / channels;
}

void Columns::read_inputs(const Tensor& x, const Shape& output, int64_t group, std::span<const int64_t> positions,
                          std::span<float> result) const {
  if (convolution_) return read_windows(x, output, group, positions, result);
  const Tensor plain = to_layout(x, Layout::kPlain);
  const auto values = plain.data<float>();
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto row = values.subspan(static_cast<size_t>(positions[i] * columns_), static_cast<size_t>(columns_));
    std::copy(row.begin(), row.end(), result.begin() + static_cast<std::ptrdiff_t>(i * row.size()));
  }
}

void Columns::read_windows(const Tensor& x, const Shape& output, int64_t group, std::span<const int64_t> positions,
                           std::span<float> result) const {
  const exec::Window window = exec::resolve_window(window_, exec::spatial_dimensions(x.shape()), kernel_);
  const auto [height, width] = height_and_width(exec::spatial_dimensions(x.shape()), 1);
  const auto [out_height, out_width] = height_and_width(exec::spatial_dimensions(output), 1);
  const auto [kernel_h, kernel_w] = height_and_width(window.kernel, 1);
  const auto [stride_h, stride_w] = height_and_width(window.strides, 1);
  const auto [dilation_h, dilation_w] = height_and_width(window.dilations, 1);
  const auto [pad_h, pad_w] = height_and_width(window.pads_begin, 0);
  const int64_t channels = columns_ / (kernel_h * kernel_w);
  const Steps steps = steps_of(x);
  const auto values = x.data<float>();
  size_t next = 0;
  for (const int64_t position : positions) {
    const int64_t batch = position / (out_height * out_width);
    const int64_t top = position / out_width % out_height * stride_h - pad_h;
    const int64_t left = position % out_width * stride_w - pad_w;
    for (int64_t channel = 0; channel < channels; ++channel) {
      const int64_t plane = batch * steps.batch + (group * channels + channel) * steps.channel;
      for (int64_t i = 0; i < kernel_h; ++i) {
        const int64_t row = top + i * dilation_h;
        for (int64_t j = 0; j < kernel_w; ++j) {
          const int64_t column = left + j * dilation_w;
          const bool inside = row >= 0 && row < height && column >= 0 && column < width;
          result[next++] = inside ? values[static_cast<size_t>(plane + (row * width + column) * steps.position)] : 0.0F;
        }
      }
    }
  }
}

void Columns::read_outputs(const Tensor& y, int64_t group, std::span<const int64_t> positions,
                           std::span<float> result) const {
  const Tensor tensor = convolution_ ? y : to_layout(y, Layout::kPlain);
  const auto values = tensor.data<float>();
  const int64_t inner = convolution_ ? element_count(y.shape()) / (y.shape()[0] * y.shape()[1]) : 1;
  const Steps steps = convolution_ ? steps_of(tensor) : Steps{.batch = groups_ * outputs_, .channel = 1, .position = 0};
  size_t next = 0;
  for (const int64_t position : positions) {
    const int64_t batch = position / inner;
    const int64_t first = batch * steps.batch + group * outputs_ * steps.channel + position % inner * steps.position;
    for (int64_t output = 0; output < outputs_; ++output) {
      result[next++] = values[static_cast<size_t>(first + output * steps.channel)];
    }
  }
}

}  // namespace narrow::recover
