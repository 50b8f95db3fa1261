#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct Upsampling {
  Shape source;   // [N, C, H, W]
  Shape weights;  // [C, M/groups, kernel, kernel]
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad_begin = 0;
  int64_t pad_end = 0;
  int64_t output_padding = 0;
  int64_t groups = 1;
};

std::vector<Upsampling> swept_layers_up() {
  return {
      {{1, 1, 3, 3}, {1, 1, 3, 3}},
      {{1, 16, 8, 8}, {16, 32, 2, 2}, 2},
      {{2, 17, 5, 5}, {17, 3, 3, 3}, 2, 1, 1, 1, 1},
      {{1, 32, 7, 7}, {32, 16, 4, 4}, 2, 1, 1, 1},
      {{1, 8, 6, 6}, {8, 3, 3, 3}, 1, 2, 2, 1},
      {{1, 12, 5, 5}, {12, 2, 3, 3}, 2, 1, 0, 1, 0, 4},
      {{2, 8, 5, 5}, {8, 1, 4, 4}, 2, 1, 1, 1, 0, 8},
  };
}

// Every input element spreads over the kernel's extent of the result.
std::vector<double> scatter(const Upsampling& layer, const Tensor& source, const Tensor& weights, const Shape& result) {
  std::vector<double> sums(static_cast<size_t>(element_count(result)), 0.0);
  const int64_t in = layer.source[2], kernel = layer.weights[2], out = result[2];
  const int64_t channels = layer.source[1], filters = layer.weights[1];
  for (int64_t n = 0; n < layer.source[0]; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t f = 0; f < filters; ++f) {
        const int64_t m = c / (channels / layer.groups) * filters + f;
        for (int64_t at = 0; at < in * in * kernel * kernel; ++at) {
          const int64_t i = at / (in * kernel * kernel), j = at / (kernel * kernel) % in;
          const int64_t ky = at / kernel % kernel, kx = at % kernel;
          const int64_t y = i * layer.stride - layer.pad_begin + ky * layer.dilation;
          const int64_t x = j * layer.stride - layer.pad_begin + kx * layer.dilation;
          if (y < 0 || y >= out || x < 0 || x >= out) continue;
          sums[static_cast<size_t>(((n * result[1] + m) * out + y) * out + x)] +=
              double{source.data<float>()[static_cast<size_t>(((n * channels + c) * in + i) * in + j)]} *
              weights.data<float>()[static_cast<size_t>(((c * filters + f) * kernel + ky) * kernel + kx)];
        }
      }
    }
  }
  return sums;
}

DeconvolutionSpec spec_for(const Upsampling& layer) {
  DeconvolutionSpec spec;
  spec.strides = {layer.stride, layer.stride};
  spec.dilations = {layer.dilation, layer.dilation};
  spec.pads_begin = {layer.pad_begin, layer.pad_begin};
  spec.pads_end = {layer.pad_end, layer.pad_end};
  spec.output_padding = {layer.output_padding, layer.output_padding};
  spec.groups = layer.groups;
  return spec;
}

TEST(Deconvolution, EqualsPlainLoops) {
  for (const Upsampling& layer : swept_layers_up()) {
    SCOPED_TRACE(shape_text(layer.source) + shape_text(layer.weights));
    const Tensor source = random_tensor(DataType::kFloat32, layer.source, 1);
    const Tensor weights = random_tensor(DataType::kFloat32, layer.weights, 2);
    const int64_t filters = layer.weights[1] * layer.groups;
    const Tensor bias = random_tensor(DataType::kFloat32, {filters}, 3);
    const Deconvolution deconvolution(spec_for(layer), weights, bias);
    Workspace workspace;
    const Tensor result =
        to_layout(deconvolution.run(to_layout(source, Layout::kChannelsLast), workspace), Layout::kPlain);
    const int64_t size = (layer.source[2] - 1) * layer.stride + (layer.weights[2] - 1) * layer.dilation + 1 +
                         layer.output_padding - layer.pad_begin - layer.pad_end;
    ASSERT_EQ(result.shape(), (Shape{layer.source[0], filters, size, size}));
    const std::vector<double> sums = scatter(layer, source, weights, result.shape());
    for (size_t i = 0; i < sums.size(); ++i) {
      const size_t m = i / static_cast<size_t>(size * size) % static_cast<size_t>(filters);
      ASSERT_NEAR(result.data<float>()[i], sums[i] + bias.data<float>()[m], 2e-5) << deconvolution.implementation();
    }
  }
}

TEST(Deconvolution, OneAxis) {
  const DeconvolutionSpec spec{
      .strides = {2}, .dilations = {1}, .pads_begin = {0}, .pads_end = {0}, .output_padding = {0}};
  const Deconvolution deconvolution(spec, Tensor::of<float>({1, 1, 2}, {1, 10}), Tensor());
  Workspace workspace;
  const Tensor result =
      deconvolution.run(to_layout(Tensor::of<float>({1, 1, 3}, {1, 2, 3}), Layout::kChannelsLast), workspace);
  EXPECT_EQ(std::vector<float>(result.data<float>().begin(), result.data<float>().end()),
            (std::vector<float>{1, 10, 2, 20, 3, 30}));
}

TEST(Deconvolution, WrongShapesAreModelErrors) {
  const Deconvolution deconvolution(spec_for({{1, 4, 5, 5}, {4, 2, 3, 3}}), Tensor(DataType::kFloat32, {4, 2, 3, 3}),
                                    Tensor());
  Workspace workspace;
  EXPECT_THROW(deconvolution.run(Tensor(DataType::kFloat32, {1, 5, 5, 5}, Layout::kChannelsLast), workspace), Error);
}

}  // namespace
}  // namespace narrow::onednn::test
