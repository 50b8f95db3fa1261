#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lib/base/error.h"
#include "lib/onednn/isa.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct IntegerCase {
  DataType source = DataType::kUint8;
  DataType destination = DataType::kUint8;
  int32_t source_zero_point = 0;
  int32_t destination_zero_point = 0;
  Clamp clamp;
  bool per_channel = true;
};

// Scales that spread the results over the destination's range and somewhat beyond.
Requantize scales_for(const Layer& layer, const IntegerCase& test) {
  Requantize requantize;
  requantize.source_scale = 0.02F;
  requantize.source_zero_point = test.source_zero_point;
  const int64_t scales = test.per_channel ? layer.weights[0] : 1;
  for (int64_t c = 0; c < scales; ++c) requantize.weight_scales.push_back(0.003F + 0.0007F * static_cast<float>(c % 7));
  const auto terms =
      static_cast<float>(layer.weights[1] * element_count({layer.weights.begin() + 2, layer.weights.end()}));
  requantize.destination_scale = 0.005F * std::sqrt(terms);
  requantize.destination_zero_point = test.destination_zero_point;
  return requantize;
}

// How far the unrounded result is from the middle between two integers, in steps.
double distance_from_tie(double real, double scale) {
  const double steps = real / scale;
  return std::abs(std::abs(steps - std::nearbyint(steps)) - 0.5);
}

// Requantization in float32 may go the other way at a near tie, by one step; nowhere else.
constexpr double kNearTie = 1e-4;

bool pads_beyond_kernel(const Layer& layer) {
  for (size_t axis = 0; axis < layer.pads_begin.size(); ++axis) {
    const int64_t kernel = layer.weights[axis + 2];
    if (layer.pads_begin[axis] >= kernel || layer.pads_end[axis] >= kernel) return true;
  }
  return false;
}

void expect_matches_layer(const Layer& layer, const IntegerCase& test) {
  SCOPED_TRACE(layer.name);
  const Tensor source = random_tensor(test.source, layer.source, 1);
  const Tensor weights = random_weights(layer.weights, 2);
  const Tensor bias = random_tensor(DataType::kFloat32, {layer.weights[0]}, 3);
  ConvolutionSpec spec = spec_of(layer);
  spec.source = test.source;
  spec.destination = test.destination;
  spec.clamp = test.clamp;
  spec.requantize = scales_for(layer, test);
  const Accumulators exact = accumulate(layer, source, weights, test.source_zero_point);

  // Wrong in oneDNN's AVX2 kernel, so it is refused where ours can not run: without VNNI.
  const bool bytes = test.destination == DataType::kUint8 || test.destination == DataType::kInt8;
  const bool depthwise = layer.groups > 1 && layer.weights[1] == 1 && layer.weights.size() == 4;
  const bool odd_channels = layer.groups % 8 > 1 && !effective_isa().starts_with("avx512");
  const bool refused = saturates_pairs() && (pads_beyond_kernel(layer) || odd_channels);
  if (bytes && depthwise && layer.groups == layer.weights[0] && refused) {
    EXPECT_THROW(Convolution(spec, weights, bias), Error);
    return;
  }
  const Convolution convolution(spec, weights, bias);
  Workspace workspace;
  const Tensor result =
      to_layout(convolution.run(to_layout(source, Layout::kChannelsLast), Tensor(), workspace), Layout::kPlain);
  EXPECT_EQ(result.shape(), exact.shape);
  EXPECT_EQ(result.type(), test.destination);
  const Tensor actual = to_float32(result);
  const size_t channels = static_cast<size_t>(exact.shape[1]);
  const size_t spatial = exact.values.size() / static_cast<size_t>(exact.shape[0]) / channels;
  for (size_t i = 0; i < exact.values.size(); ++i) {
    const size_t c = i / spatial % channels;
    const double scale =
        double{spec.requantize->source_scale} * spec.requantize->weight_scales[test.per_channel ? c : 0];
    double real = exact.values[i] * scale + bias.data<float>()[c];
    real = std::min<double>(std::max<double>(real, test.clamp.low), test.clamp.high);
    const float got = actual.data<float>()[i];
    if (test.destination == DataType::kFloat32) {
      EXPECT_NEAR(got, real, 1e-5 * std::max(1.0, std::abs(real))) << "at " << i;
    } else {
      const double scale_out = spec.requantize->destination_scale;
      const auto want = static_cast<float>(requantize(real, scale_out, test.destination_zero_point, test.destination));
      const float allowed = distance_from_tie(real, scale_out) < kNearTie ? 1 : 0;
      EXPECT_LE(std::abs(got - want), allowed) << "at " << i << ": " << got << " not " << want;
    }
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << convolution.implementation();
      break;
    }
  }
}

void expect_matches(const IntegerCase& test) {
  for (const Layer& layer : swept_layers()) expect_matches_layer(layer, test);
}

TEST(ConvolutionInteger, UnsignedToUnsigned) {
  expect_matches({});
}

TEST(ConvolutionInteger, AsymmetricSourceWithPadsAndAsymmetricResult) {
  expect_matches({.source_zero_point = 113, .destination_zero_point = 128, .clamp = {}});
}

TEST(ConvolutionInteger, SignedSource) {
  expect_matches({.source = DataType::kInt8, .destination = DataType::kInt8, .clamp = {}});
}

TEST(ConvolutionInteger, SignedAsymmetricSource) {
  expect_matches({.source = DataType::kInt8,
                  .destination = DataType::kInt8,
                  .source_zero_point = -37,
                  .destination_zero_point = -5,
                  .clamp = {}});
}

TEST(ConvolutionInteger, FloatResult) {
  expect_matches({.destination = DataType::kFloat32, .source_zero_point = 7, .clamp = {}});
}

TEST(ConvolutionInteger, ClampedFloatResult) {
  expect_matches({.destination = DataType::kFloat32, .clamp = {.low = 0, .high = 1.5F}});
}

TEST(ConvolutionInteger, ReluIsInRealUnits) {
  expect_matches({.source_zero_point = 100, .destination_zero_point = 60, .clamp = {.low = 0}});
}

TEST(ConvolutionInteger, ReluAtTheEndOfTheRange) {
  expect_matches({.clamp = {.low = 0}});
}

TEST(ConvolutionInteger, ClipIsInRealUnits) {
  expect_matches({.source = DataType::kInt8,
                  .destination = DataType::kInt8,
                  .source_zero_point = 3,
                  .destination_zero_point = 10,
                  .clamp = {.low = -0.5F, .high = 1.0F}});
}

TEST(ConvolutionInteger, OneScaleForAllChannels) {
  expect_matches({.source_zero_point = 128, .destination_zero_point = 127, .clamp = {}, .per_channel = false});
}

// Every uint8 value through a 1x1 convolution of one channel with weight 1: results as float32.
std::vector<float> every_value(const Requantize& requantize, DataType destination, float bias) {
  Tensor source(DataType::kUint8, {1, 1, 16, 16});
  for (size_t i = 0; i < 256; ++i) source.mutable_data<uint8_t>()[i] = static_cast<uint8_t>(i);
  ConvolutionSpec spec{.source = DataType::kUint8,
                       .destination = destination,
                       .strides = {1, 1},
                       .dilations = {1, 1},
                       .pads_begin = {0, 0},
                       .pads_end = {0, 0},
                       .clamp = {},
                       .requantize = requantize};
  const Tensor weights = Tensor::of<int8_t>({1, 1, 1, 1}, std::vector<int8_t>{1});
  const Convolution convolution(spec, weights, Tensor::of<float>({1}, std::vector<float>{bias}));
  Workspace workspace;
  const Tensor result = to_float32(convolution.run(to_layout(source, Layout::kChannelsLast), Tensor(), workspace));
  return {result.data<float>().begin(), result.data<float>().end()};
}

TEST(ConvolutionInteger, TiesGoToTheEvenNeighbourBeforeAnOddZeroPoint) {
  const Requantize halves{.weight_scales = {1}, .destination_scale = 2, .destination_zero_point = 3};
  const std::vector<float> results = every_value(halves, DataType::kUint8, 0);
  EXPECT_EQ(results[1], 3);  // 0.5 -> 0
  EXPECT_EQ(results[3], 5);  // 1.5 -> 2
  EXPECT_EQ(results[5], 5);  // 2.5 -> 2
  EXPECT_EQ(results[6], 6);
}

TEST(ConvolutionInteger, BiasJoinsTheAccumulatorBeforeTheScale) {
  const Requantize requantize{.source_scale = 0.0371F,
                              .source_zero_point = 7,
                              .weight_scales = {0.00513F},
                              .destination_scale = 0.00037F,
                              .destination_zero_point = 101};
  const float step = requantize.source_scale * 0.00513F;
  for (int32_t steps = -300; steps <= 300; steps += 23) {
    const auto results = every_value(requantize, DataType::kUint8, static_cast<float>(steps) * step);
    for (int32_t x = 0; x < 256; ++x) {
      // All in float32, as onnxruntime computes it.
      const float rounded = std::nearbyint(static_cast<float>(x - 7 + steps) * (step / requantize.destination_scale));
      ASSERT_EQ(results[static_cast<size_t>(x)], std::clamp(rounded + 101, 0.0F, 255.0F)) << x << " and " << steps;
    }
  }
}

// With one pixel the scales have the result's own shape, for which oneDNN is particular about the order in memory.
TEST(ConvolutionInteger, OnePixelDoesNotFallToPlainLoops) {
  if (saturates_pairs()) GTEST_SKIP() << "needs VNNI";
  ConvolutionSpec spec{.source = DataType::kUint8,
                       .destination = DataType::kUint8,
                       .strides = {1, 1},
                       .dilations = {1, 1},
                       .pads_begin = {0, 0},
                       .pads_end = {0, 0},
                       .clamp = {},
                       .requantize = Requantize{.weight_scales = std::vector<float>(100, 0.01F)}};
  const Convolution convolution(spec, random_weights({100, 64, 1, 1}, 1), random_tensor(DataType::kFloat32, {100}, 2));
  Workspace workspace;
  convolution.run(to_layout(random_tensor(DataType::kUint8, {1, 64, 1, 1}, 3), Layout::kChannelsLast), Tensor(),
                  workspace);
  EXPECT_EQ(convolution.implementation().find("ref"), std::string::npos) << convolution.implementation();
}

TEST(ConvolutionInteger, AccumulatorIsExact) {
  for (const Layer& layer : swept_layers()) {
    for (const DataType type : {DataType::kUint8, DataType::kInt8}) {
      SCOPED_TRACE(layer.name);
      ConvolutionSpec spec = spec_of(layer);
      spec.source = type;
      spec.destination = DataType::kInt32;
      spec.requantize = Requantize{.source_scale = 0.5F, .source_zero_point = 11, .weight_scales = {0.25F}};
      const Tensor source = random_tensor(type, layer.source, 1);
      const Tensor weights = random_weights(layer.weights, 2);
      const Convolution convolution(spec, weights, Tensor());
      Workspace workspace;
      const Tensor result =
          to_layout(convolution.run(to_layout(source, Layout::kChannelsLast), Tensor(), workspace), Layout::kPlain);
      const Accumulators exact = accumulate(layer, source, weights, 11);
      const auto values = result.data<int32_t>();
      for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], exact.values[i]) << convolution.implementation();
    }
  }
}

}  // namespace
}  // namespace narrow::onednn::test
