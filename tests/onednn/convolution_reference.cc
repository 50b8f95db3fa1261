#include "tests/onednn/convolution_reference.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "lib/onednn/isa.h"

namespace narrow::onednn::test {
namespace {

// Elements as float64, whatever the type.
std::vector<double> as_doubles(const Tensor& tensor) {
  const Tensor real = to_float32(tensor);
  const auto values = real.data<float>();
  return {values.begin(), values.end()};
}

// Three spatial axes, the missing ones of size 1 in front.
struct Spatial {
  std::array<int64_t, 3> at{1, 1, 1};
  Spatial(const std::vector<int64_t>& values, size_t skip, int64_t missing) {
    at.fill(missing);
    const size_t axes = values.size() - skip;
    for (size_t i = 0; i < axes; ++i) at[3 - axes + i] = values[skip + i];
  }
  int64_t operator[](size_t axis) const { return at[axis]; }
  int64_t count() const { return at[0] * at[1] * at[2]; }
};

}  // namespace

Tensor random_tensor(DataType type, Shape shape, uint32_t seed) {
  Random random(seed);
  Tensor tensor(type, std::move(shape));
  switch (type) {
    case DataType::kUint8:
      for (auto& value : tensor.mutable_data<uint8_t>()) value = static_cast<uint8_t>(random.integer(0, 255));
      break;
    case DataType::kInt8:
      for (auto& value : tensor.mutable_data<int8_t>()) value = static_cast<int8_t>(random.integer(-128, 127));
      break;
    default:
      for (auto& value : tensor.mutable_data<float>()) value = random.real();
  }
  return tensor;
}

Tensor random_weights(Shape shape, uint32_t seed) {
  if (!saturates_pairs()) return random_tensor(DataType::kInt8, std::move(shape), seed);
  Random random(seed);
  Tensor tensor(DataType::kInt8, std::move(shape));
  for (auto& value : tensor.mutable_data<int8_t>()) value = static_cast<int8_t>(2 * random.integer(-32, 31));
  return tensor;
}

Layer square_layer(std::string name, const Square& square) {
  return {.name = std::move(name),
          .source = {square.batch, square.channels, square.size, square.size},
          .weights = {square.filters, square.channels / square.groups, square.kernel, square.kernel},
          .strides = {square.stride, square.stride},
          .dilations = {square.dilation, square.dilation},
          .pads_begin = {square.pad, square.pad},
          .pads_end = {square.pad, square.pad},
          .groups = square.groups};
}

std::vector<Layer> swept_layers() {
  std::vector<Layer> layers{
      square_layer("one", {.size = 3, .kernel = 3}),
      square_layer("one_padded", {.size = 3, .kernel = 3, .pad = 1}),
      square_layer("one_pixel", {.channels = 64, .size = 1, .filters = 100}),
      square_layer("stem7x7s2", {.channels = 3, .size = 32, .filters = 64, .kernel = 7, .stride = 2, .pad = 3}),
      square_layer("stem3x3s2", {.channels = 3, .size = 31, .filters = 32, .kernel = 3, .stride = 2, .pad = 1}),
      square_layer("squeeze1x1", {.channels = 64, .size = 13, .filters = 16}),
      square_layer("expand3x3", {.channels = 16, .size = 13, .filters = 64, .kernel = 3, .pad = 1}),
      square_layer("deep3x3", {.channels = 256, .size = 7, .filters = 32, .kernel = 3, .pad = 1}),
      square_layer("shortcut1x1s2", {.batch = 2, .channels = 32, .size = 14, .filters = 64, .stride = 2}),
      square_layer("depthwise", {.channels = 32, .size = 14, .filters = 32, .kernel = 3, .pad = 1, .groups = 32}),
      square_layer(
          "depthwise_s2",
          {.batch = 2, .channels = 24, .size = 15, .filters = 24, .kernel = 3, .stride = 2, .pad = 1, .groups = 24}),
      square_layer("depthwise5x5", {.channels = 17, .size = 9, .filters = 17, .kernel = 5, .pad = 2, .groups = 17}),
      square_layer(
          "depthwise5x5_s2",
          {.batch = 2, .channels = 20, .size = 13, .filters = 20, .kernel = 5, .stride = 2, .pad = 2, .groups = 20}),
      square_layer("depthwise7x7", {.channels = 18, .size = 6, .filters = 18, .kernel = 7, .pad = 3, .groups = 18}),
      square_layer("depthwise_5_wide", {.channels = 64, .size = 5, .filters = 64, .kernel = 3, .pad = 1, .groups = 64}),
      square_layer("depthwise_4_wide", {.channels = 16, .size = 4, .filters = 16, .kernel = 5, .pad = 2, .groups = 16}),
      square_layer("depthwise_3_wide", {.channels = 16, .size = 3, .filters = 16, .kernel = 3, .pad = 1, .groups = 16}),
      square_layer("depthwise_2_wide", {.channels = 16, .size = 2, .filters = 16, .kernel = 3, .pad = 1, .groups = 16}),
      square_layer("depthwise_x2", {.channels = 8, .size = 9, .filters = 16, .kernel = 3, .pad = 1, .groups = 8}),
      square_layer("groups2", {.channels = 32, .size = 8, .filters = 48, .kernel = 3, .pad = 1, .groups = 2}),
      square_layer("groups3_odd", {.batch = 2, .channels = 15, .size = 7, .filters = 9, .kernel = 3, .groups = 3}),
      square_layer("dilated", {.channels = 16, .size = 12, .filters = 8, .kernel = 3, .pad = 2, .dilation = 2}),
      square_layer("odd1", {.batch = 2, .channels = 1, .size = 9, .filters = 5, .kernel = 3, .pad = 1}),
      square_layer("odd3", {.channels = 3, .size = 10, .filters = 17, .kernel = 3, .stride = 3, .pad = 1}),
      square_layer("odd5", {.batch = 2, .channels = 5, .size = 6, .filters = 3, .kernel = 2}),
      square_layer("odd17", {.channels = 17, .size = 8, .filters = 5, .kernel = 3, .pad = 1}),
      square_layer("odd17_1x1", {.batch = 2, .channels = 17, .size = 5, .filters = 17}),
  };
  layers.push_back({.name = "dilated_rows",
                    .source = {2, 5, 11, 9},
                    .weights = {70, 5, 3, 2},
                    .strides = {1, 2},
                    .dilations = {3, 1},
                    .pads_begin = {4, 1},
                    .pads_end = {2, 1}});
  layers.push_back({.name = "pads_beyond_kernel",
                    .source = {1, 4, 3, 5},
                    .weights = {40, 4, 2, 1},
                    .strides = {2, 1},
                    .dilations = {1, 1},
                    .pads_begin = {3, 4},
                    .pads_end = {2, 2}});
  Layer uneven = square_layer("uneven_pads", {.channels = 16, .size = 8, .filters = 16, .kernel = 3, .stride = 2});
  uneven.pads_begin = {0, 1};
  uneven.pads_end = {1, 2};
  layers.push_back(uneven);
  uneven.name = "unused_edge";  // the last row and column of the input are never read
  uneven.pads_begin = {0, 0};
  uneven.pads_end = {0, 0};
  layers.push_back(uneven);
  layers.push_back({.name = "line",
                    .source = {2, 12, 21},
                    .weights = {20, 12, 5},
                    .strides = {2},
                    .dilations = {1},
                    .pads_begin = {2},
                    .pads_end = {1}});
  layers.push_back({.name = "line_grouped",
                    .source = {1, 16, 21},
                    .weights = {16, 8, 3},
                    .strides = {1},
                    .dilations = {2},
                    .pads_begin = {2},
                    .pads_end = {2},
                    .groups = 2});
  // Kernels and sources that are 1 wide are turned.
  layers.push_back({.name = "column",
                    .source = {2, 12, 21, 1},
                    .weights = {20, 12, 5, 1},
                    .strides = {2, 1},
                    .dilations = {1, 1},
                    .pads_begin = {2, 0},
                    .pads_end = {1, 0}});
  layers.push_back({.name = "column_wide_source",
                    .source = {1, 12, 21, 3},
                    .weights = {20, 12, 5, 1},
                    .strides = {1, 1},
                    .dilations = {2, 1},
                    .pads_begin = {4, 0},
                    .pads_end = {3, 0}});
  layers.push_back({.name = "column_depthwise",
                    .source = {2, 24, 19, 1},
                    .weights = {24, 1, 3, 1},
                    .strides = {1, 1},
                    .dilations = {1, 1},
                    .pads_begin = {1, 0},
                    .pads_end = {1, 0},
                    .groups = 24});
  layers.push_back({.name = "depthwise_pads_apart",
                    .source = {2, 40, 9, 13},
                    .weights = {40, 1, 3, 3},
                    .strides = {2, 1},
                    .dilations = {1, 1},
                    .pads_begin = {0, 4},
                    .pads_end = {1, 0},
                    .groups = 40});
  layers.push_back({.name = "depthwise_mostly_padding",
                    .source = {1, 3, 1, 1},
                    .weights = {3, 1, 2, 7},
                    .strides = {3, 20},
                    .dilations = {1, 1},
                    .pads_begin = {1, 12},
                    .pads_end = {3, 1},
                    .groups = 3});
  layers.push_back({.name = "volume",
                    .source = {1, 6, 5, 6, 7},
                    .weights = {10, 6, 3, 3, 3},
                    .strides = {1, 2, 1},
                    .dilations = {1, 1, 1},
                    .pads_begin = {1, 1, 1},
                    .pads_end = {1, 0, 1}});
  return layers;
}

ConvolutionSpec spec_of(const Layer& layer) {
  ConvolutionSpec spec;
  spec.strides = layer.strides;
  spec.dilations = layer.dilations;
  spec.pads_begin = layer.pads_begin;
  spec.pads_end = layer.pads_end;
  spec.groups = layer.groups;
  return spec;
}

Accumulators accumulate(const Layer& layer, const Tensor& source, const Tensor& weights, int32_t source_zero_point) {
  const std::vector<double> x = as_doubles(source);
  const std::vector<double> w = as_doubles(weights);
  const Spatial in(layer.source, 2, 1), kernel(layer.weights, 2, 1), stride(layer.strides, 0, 1);
  const Spatial dilation(layer.dilations, 0, 1), begin(layer.pads_begin, 0, 0), end(layer.pads_end, 0, 0);
  Accumulators result{.shape = {layer.source[0], layer.weights[0]}, .values = {}};
  std::array<int64_t, 3> out{};
  for (size_t a = 0; a < 3; ++a) {
    out[a] = (in[a] + begin[a] + end[a] - ((kernel[a] - 1) * dilation[a] + 1)) / stride[a] + 1;
    if (a >= 3 - layer.strides.size()) result.shape.push_back(out[a]);
  }
  const int64_t channels = layer.weights[1], filters = layer.weights[0] / layer.groups;
  for (int64_t n = 0; n < layer.source[0]; ++n) {
    for (int64_t m = 0; m < layer.weights[0]; ++m) {
      for (int64_t at = 0; at < out[0] * out[1] * out[2]; ++at) {
        const std::array<int64_t, 3> o{at / (out[1] * out[2]), at / out[2] % out[1], at % out[2]};
        double sum = 0;
        for (int64_t tap = 0; tap < kernel.count(); ++tap) {
          const std::array<int64_t, 3> k{tap / (kernel[1] * kernel[2]), tap / kernel[2] % kernel[1], tap % kernel[2]};
          std::array<int64_t, 3> i{};
          bool inside = true;
          for (size_t a = 0; a < 3; ++a) {
            i[a] = o[a] * stride[a] - begin[a] + k[a] * dilation[a];
            inside = inside && i[a] >= 0 && i[a] < in[a];
          }
          if (!inside) continue;
          for (int64_t c = 0; c < channels; ++c) {
            const int64_t plane = n * layer.source[1] + m / filters * channels + c;
            const int64_t from = ((plane * in[0] + i[0]) * in[1] + i[1]) * in[2] + i[2];
            sum += (x[static_cast<size_t>(from)] - source_zero_point) *
                   w[static_cast<size_t>((m * channels + c) * kernel.count() + tap)];
          }
        }
        result.values.push_back(sum);
      }
    }
  }
  return result;
}

int32_t requantize(double real, double scale, int32_t zero_point, DataType type) {
  const double low = type == DataType::kUint8 ? 0 : -128;
  const double high = type == DataType::kUint8 ? 255 : 127;
  return static_cast<int32_t>(std::clamp(std::nearbyint(real / scale) + zero_point, low, high));
}

}  // namespace narrow::onednn::test
