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
    result.taps_ = element_count(result.kernel_);
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
  const int64_t channels = columns_ / taps_;
  return static_cast<size_t>((group * outputs_ + output) * columns_ + column % channels * taps_ + column / channels);
}

int64_t Columns::positions(const Shape& output) const {
  const int64_t channels = convolution_ ? groups_ * outputs_ : last_of(output);
  return channels == 0 ? 0 : element_count(output) / channels;
}

void Columns::read_inputs(const Tensor& x, const Shape& output, std::span<const int64_t> positions,
                          std::span<float> result) const {
  if (convolution_) return read_windows(x, output, positions, result);
  const Tensor plain = to_layout(x, Layout::kPlain);
  const auto values = plain.data<float>();
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto row = values.subspan(static_cast<size_t>(positions[i] * columns_), static_cast<size_t>(columns_));
    std::copy(row.begin(), row.end(), result.begin() + static_cast<std::ptrdiff_t>(i * row.size()));
  }
}

namespace {

/// `count` elements, `step` apart.
void copy_strided(const float* from, int64_t step, int64_t count, float* to) {
  if (step == 1) {
    std::copy_n(from, count, to);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i * step];
  }
}

}  // namespace

void Columns::read_windows(const Tensor& x, const Shape& output, std::span<const int64_t> positions,
                           std::span<float> result) const {
  const exec::Window window = exec::resolve_window(window_, exec::spatial_dimensions(x.shape()), kernel_);
  const auto [height, width] = height_and_width(exec::spatial_dimensions(x.shape()), 1);
  const auto [out_height, out_width] = height_and_width(exec::spatial_dimensions(output), 1);
  const auto [kernel_h, kernel_w] = height_and_width(window.kernel, 1);
  const auto [stride_h, stride_w] = height_and_width(window.strides, 1);
  const auto [dilation_h, dilation_w] = height_and_width(window.dilations, 1);
  const auto [pad_h, pad_w] = height_and_width(window.pads_begin, 0);
  const int64_t channels = groups_ * columns_ / taps_;
  const Steps steps = steps_of(x);
  const auto values = x.data<float>();
  float* next = result.data();
  for (const int64_t position : positions) {
    const int64_t batch = position / (out_height * out_width);
    const int64_t top = position / out_width % out_height * stride_h - pad_h;
    const int64_t left = position % out_width * stride_w - pad_w;
    for (int64_t tap = 0; tap < taps_; ++tap, next += channels) {
      const int64_t row = top + tap / kernel_w * dilation_h;
      const int64_t column = left + tap % kernel_w * dilation_w;
      if (row < 0 || row >= height || column < 0 || column >= width) {
        std::fill_n(next, channels, 0.0F);
      } else {
        copy_strided(values.data() + batch * steps.batch + (row * width + column) * steps.position, steps.channel,
                     channels, next);
      }
    }
  }
}

void Columns::read_outputs(const Tensor& y, std::span<const int64_t> positions, std::span<float> result) const {
  const Tensor tensor = convolution_ ? y : to_layout(y, Layout::kPlain);
  const auto values = tensor.data<float>();
  const int64_t channels = groups_ * outputs_;
  const int64_t inner = convolution_ ? element_count(y.shape()) / (y.shape()[0] * y.shape()[1]) : 1;
  const Steps steps = convolution_ ? steps_of(tensor) : Steps{.batch = channels, .channel = 1, .position = 0};
  float* next = result.data();
  for (const int64_t position : positions) {
    const int64_t first = position / inner * steps.batch + position % inner * steps.position;
    copy_strided(values.data() + first, steps.channel, channels, next);
    next += channels;
  }
}

}  // namespace narrow::recover
