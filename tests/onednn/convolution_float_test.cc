#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <thread>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct FloatCase {
  Layer layer;
  Clamp clamp;
  bool with_bias = true;
  bool with_residual = false;
};

void expect_matches(const FloatCase& test) {
  const Layer& layer = test.layer;
  SCOPED_TRACE(layer.name);
  const Tensor source = random_tensor(DataType::kFloat32, layer.source, 1);
  const Tensor weights = random_tensor(DataType::kFloat32, layer.weights, 2);
  const Tensor bias = test.with_bias ? random_tensor(DataType::kFloat32, {layer.weights[0]}, 3) : Tensor();
  ConvolutionSpec spec = spec_of(layer);
  spec.clamp = test.clamp;
  spec.add_residual = test.with_residual;
  const Accumulators expected = accumulate(layer, source, weights);
  const Tensor residual = test.with_residual ? random_tensor(DataType::kFloat32, expected.shape, 4) : Tensor();

  const Convolution convolution(spec, weights, bias);
  Workspace workspace;
  const Tensor result =
      convolution.run(to_layout(source, Layout::kChannelsLast),
                      test.with_residual ? to_layout(residual, Layout::kChannelsLast) : Tensor(), workspace);
  ASSERT_EQ(result.shape(), expected.shape);
  ASSERT_EQ(result.layout(), Layout::kChannelsLast);
  const Tensor plain = to_layout(result, Layout::kPlain);
  // Rounding errors of a float32 sum of n terms below 1 in magnitude grow as sqrt(n).
  const double tolerance = 2e-6 * std::sqrt(static_cast<double>(weights.size() / weights.shape()[0]));
  const size_t channels = static_cast<size_t>(expected.shape[1]);
  const size_t spatial = expected.values.size() / static_cast<size_t>(expected.shape[0]) / channels;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    double value = expected.values[i];
    if (test.with_bias) value += bias.data<float>()[i / spatial % channels];
    if (test.with_residual) value += residual.data<float>()[i];
    value = std::min<double>(std::max<double>(value, test.clamp.low), test.clamp.high);
    ASSERT_NEAR(plain.data<float>()[i], value, tolerance) << "at " << i;
  }
}

TEST(ConvolutionFloat, EqualsPlainLoops) {
  for (const Layer& layer : swept_layers()) expect_matches({.layer = layer, .clamp = {}});
}

TEST(ConvolutionFloat, NeedsNoBias) {
  for (const Layer& layer : swept_layers()) expect_matches({.layer = layer, .clamp = {}, .with_bias = false});
}

TEST(ConvolutionFloat, AddsResidualThenClampsBelow) {
  for (const Layer& layer : swept_layers()) {
    expect_matches({.layer = layer, .clamp = {.low = 0}, .with_residual = true});
  }
}

TEST(ConvolutionFloat, ClampsOnBothSides) {
  for (const Layer& layer : swept_layers()) expect_matches({.layer = layer, .clamp = {.low = -0.25F, .high = 0.5F}});
}

TEST(ConvolutionFloat, ClampsOnTheUpperSideOnly) {
  const Layer layer = square_layer("", {.channels = 8, .size = 6, .filters = 8, .kernel = 3});
  expect_matches({.layer = layer, .clamp = {.low = -kInfinity, .high = 0.1F}});
}

// Layers as large as in real networks, so that blocking over channels and kernels is at work.
std::vector<Layer> large_layers() {
  return {
      square_layer("1x1", {.channels = 512, .size = 14, .filters = 256}),
      square_layer("1x1_k2048", {.channels = 2048, .size = 7, .filters = 512}),
      square_layer("1x1_single", {.channels = 1280, .size = 1, .filters = 1000}),
      square_layer("3x3", {.channels = 64, .size = 56, .filters = 64, .kernel = 3, .pad = 1}),
      square_layer("3x3_k4608", {.channels = 512, .size = 7, .filters = 512, .kernel = 3, .pad = 1}),
      square_layer("3x3s2", {.channels = 128, .size = 28, .filters = 256, .kernel = 3, .stride = 2, .pad = 1}),
      square_layer("3x3_batch2", {.batch = 2, .channels = 256, .size = 14, .filters = 256, .kernel = 3, .pad = 1}),
      square_layer("odd", {.channels = 333, .size = 13, .filters = 77, .kernel = 3, .pad = 1}),
      square_layer("stem", {.channels = 3, .size = 224, .filters = 64, .kernel = 7, .stride = 2, .pad = 3}),
      square_layer("depthwise", {.channels = 144, .size = 56, .filters = 144, .kernel = 3, .pad = 1, .groups = 144}),
      square_layer("5x5_single", {.channels = 512, .size = 1, .filters = 96, .kernel = 5, .pad = 2}),
      square_layer("grouped", {.channels = 256, .size = 14, .filters = 256, .kernel = 3, .pad = 1, .groups = 32}),
  };
}

TEST(ConvolutionFloat, ThreadCountDoesNotChangeABit) {
  for (const Layer& layer : large_layers()) {
    SCOPED_TRACE(layer.name);
    const Tensor source = to_layout(random_tensor(DataType::kFloat32, layer.source, 1), Layout::kChannelsLast);
    const Convolution convolution(spec_of(layer), random_tensor(DataType::kFloat32, layer.weights, 2), Tensor());
    Workspace workspace;
    const int before = thread_count();
    set_thread_count(1);
    const Tensor one = convolution.run(source, Tensor(), workspace);
    for (const int threads : {2, 3, 4}) {
      set_thread_count(threads);
      const Tensor more = convolution.run(source, Tensor(), workspace);
      EXPECT_EQ(std::memcmp(one.bytes(), more.bytes(), one.byte_size()), 0) << threads << " threads";
    }
    set_thread_count(before);
  }
}

TEST(ConvolutionFloat, RunsOnSeveralThreadsAtOnce) {
  const Layer layer = square_layer("", {.channels = 32, .size = 28, .filters = 64, .kernel = 3, .pad = 1});
  const Tensor weights = random_tensor(DataType::kFloat32, layer.weights, 2);
  const Convolution convolution(spec_of(layer), weights, Tensor());
  constexpr int kWorkers = 4;
  std::vector<Tensor> sources;
  std::vector<Tensor> expected;
  Workspace workspace;
  for (uint32_t i = 0; i < kWorkers; ++i) {
    // Different batch sizes, so that the workers also race for the cache.
    const Shape shape{1 + i % 2, 32, 28, 28};
    sources.push_back(to_layout(random_tensor(DataType::kFloat32, shape, i), Layout::kChannelsLast));
    expected.push_back(convolution.run(sources.back(), Tensor(), workspace));
  }
  std::vector<int> mismatches(kWorkers, 0);
  run_workers(kWorkers, [&](int worker) {
    const auto index = static_cast<size_t>(worker);
    Workspace own;
    for (int round = 0; round < 20; ++round) {
      const Tensor result = convolution.run(sources[index], Tensor(), own);
      mismatches[index] += std::memcmp(result.bytes(), expected[index].bytes(), result.byte_size()) != 0 ? 1 : 0;
    }
  });
  EXPECT_EQ(mismatches, std::vector<int>(kWorkers, 0));
}

TEST(ConvolutionFloat, SteadyRunsAllocateNothingFromTheSystem) {
  const Layer layer = square_layer("", {.channels = 64, .size = 28, .filters = 64, .kernel = 3, .pad = 1});
  const Convolution convolution(spec_of(layer), random_tensor(DataType::kFloat32, layer.weights, 2), Tensor());
  const Tensor source = to_layout(random_tensor(DataType::kFloat32, layer.source, 1), Layout::kChannelsLast);
  Workspace workspace;
  convolution.run(source, Tensor(), workspace);
  const size_t before = workspace.reserved_bytes();
  for (int i = 0; i < 5; ++i) convolution.run(source, Tensor(), workspace);
  EXPECT_EQ(workspace.reserved_bytes(), before);
}

TEST(ConvolutionFloat, EmptyBatchGivesEmptyResult) {
  const Layer layer = square_layer("", {.channels = 4, .size = 8, .filters = 6, .kernel = 3});
  const Convolution convolution(spec_of(layer), random_tensor(DataType::kFloat32, layer.weights, 2), Tensor());
  Workspace workspace;
  const Tensor result =
      convolution.run(Tensor(DataType::kFloat32, {0, 4, 8, 8}, Layout::kChannelsLast), Tensor(), workspace);
  EXPECT_EQ(result.shape(), (Shape{0, 6, 6, 6}));
}

ErrorKind error_of(const Layer& layer, const Shape& source) {
  try {
    const Convolution convolution(spec_of(layer), random_tensor(DataType::kFloat32, layer.weights, 2), Tensor());
    Workspace workspace;
    convolution.run(Tensor(DataType::kFloat32, source, Layout::kChannelsLast), Tensor(), workspace);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kInternal;
}

TEST(ConvolutionFloat, WrongShapesAreModelErrors) {
  const Layer layer = square_layer("", {.channels = 4, .size = 8, .filters = 6, .kernel = 3});
  EXPECT_EQ(error_of(layer, {1, 5, 8, 8}), ErrorKind::kModel);
  EXPECT_EQ(error_of(layer, {1, 4, 2, 8}), ErrorKind::kModel);
  EXPECT_EQ(error_of(layer, {1, 4, 8}), ErrorKind::kModel);
  Layer grouped = layer;
  grouped.groups = 4;
  EXPECT_EQ(error_of(grouped, {1, 16, 8, 8}), ErrorKind::kModel);
}

}  // namespace
}  // namespace narrow::onednn::test
