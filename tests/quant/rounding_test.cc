// Binary codes, and rounding at random.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lib/quant/codebook.h"
#include "lib/quant/quant_params.h"

namespace narrow::quant {
namespace {

using testing::ElementsAre;

constexpr size_t kElements = 20000;

std::vector<int> ints(const Tensor& tensor) {
  return {tensor.data<int8_t>().begin(), tensor.data<int8_t>().end()};
}

Tensor constant(float value) {
  Tensor result(DataType::kFloat32, {static_cast<int64_t>(kElements)});
  for (float& element : result.mutable_data<float>()) element = value;
  return result;
}

QuantParams noisy(QuantType type, float scale, uint64_t seed) {
  return {.type = type, .scales = {scale}, .zero_points = {0}, .noise = RoundingNoise(seed, "w")};
}

double mean_of(const Tensor& real, const QuantParams& params) {
  const Tensor back = dequantize(quantize(real, params), params);
  double sum = 0;
  for (const float value : back.data<float>()) sum += value;
  return sum / static_cast<double>(back.size());
}

TEST(BinaryTest, TheScaleIsTheMeanMagnitude) {
  const Tensor weight = Tensor::of<float>({2, 4}, {1, -2, 3, -6, 0, -0.5F, 0.5F, 1});
  const QuantParams channels = choose_weight_params(weight, {.type = QuantType::kBinary}, {.axis = 0});
  EXPECT_THAT(channels.scales, ElementsAre(3, 0.5F));
  EXPECT_THAT(ints(quantize(weight, channels)), ElementsAre(1, -1, 1, -1, 1, -1, 1, 1));
  EXPECT_EQ(dequantize(quantize(weight, channels), channels).data<float>()[3], -3);
  const QuantParams blocks = choose_weight_params(weight, {.type = QuantType::kBinary}, {.axis = 1, .block = 2});
  EXPECT_THAT(blocks.scales, ElementsAre(1.5F, 4.5F, 0.25F, 0.75F));
  EXPECT_THAT(choose_weight_params(weight, {.type = QuantType::kBinary}, {}).scales, ElementsAre(1.75F));
}

TEST(BinaryTest, NoOtherScaleIsBetter) {
  const Tensor weight = Tensor::of<float>({5}, {0.3F, -1.7F, 0.2F, 2.2F, -0.9F});
  QuantParams params = choose_weight_params(weight, {.type = QuantType::kBinary}, {});
  const auto error = [&] {
    const Tensor back = dequantize(quantize(weight, params), params);
    double sum = 0;
    for (size_t i = 0; i < 5; ++i) sum += std::pow(weight.data<float>()[i] - back.data<float>()[i], 2);
    return sum;
  };
  const float best = params.scales[0];
  const double least = error();
  for (const float factor : {0.5F, 0.9F, 0.99F, 1.01F, 1.1F, 2.0F}) {
    params.scales[0] = best * factor;
    EXPECT_GT(error(), least) << factor;
  }
}

TEST(BinaryTest, ZerosStayAsGoodAsZero) {
  const QuantParams params = choose_weight_params(constant(0), {.type = QuantType::kBinary}, {});
  EXPECT_EQ(params.scales[0], std::numeric_limits<float>::min());
}

/// Of n values that are x on average and d apart, the mean is within 5 d / (2 sqrt(n)) but once in 10^6 tries.
TEST(StochasticRoundingTest, IsUnbiased) {
  const double around = 2.5 / std::sqrt(static_cast<double>(kElements));
  for (const float value : {0.3F, -0.7F, 1.25F, -2.9F, 6.999F}) {
    EXPECT_NEAR(mean_of(constant(value), noisy(QuantType::kInt4, 1, 1)), value, around) << value;
    EXPECT_NEAR(mean_of(constant(value), noisy(QuantType::kInt8, 0.5F, 2)), value, around / 2) << value;
    EXPECT_NEAR(mean_of(constant(value), noisy(QuantType::kFloat8e4m3fn, 1, 3)), value, around) << value;
  }
  EXPECT_NEAR(mean_of(constant(0.3F), noisy(QuantType::kBinary, 1, 1)), 0.3, 2 * around);
  EXPECT_NEAR(mean_of(constant(1.3F), noisy(QuantType::kFloat4e2m1, 1, 1)), 1.3, around / 2);
  QuantParams codebook = noisy(QuantType::kCodebook, 2, 1);
  codebook.codebooks = Codebooks{.entries = 3, .values = {-1, 0, 3}};
  EXPECT_NEAR(mean_of(constant(1), codebook), 1, 6 * around);
}

TEST(StochasticRoundingTest, WhatIsOnTheGridStays) {
  const Tensor real = Tensor::of<float>({5}, {-3, 0, 2, 100, -100});
  EXPECT_THAT(ints(quantize(real, noisy(QuantType::kInt8, 0.5F, 1))), ElementsAre(-6, 0, 4, 127, -128));
}

TEST(StochasticRoundingTest, IsReproducibleBySeedAndName) {
  const Tensor real = constant(0.5F);
  const std::vector<int> codes = ints(quantize(real, noisy(QuantType::kInt8, 1, 7)));
  EXPECT_EQ(ints(quantize(real, noisy(QuantType::kInt8, 1, 7))), codes);
  EXPECT_NE(ints(quantize(real, noisy(QuantType::kInt8, 1, 8))), codes);
  QuantParams other = noisy(QuantType::kInt8, 1, 7);
  other.noise = RoundingNoise(7, "v");
  EXPECT_NE(ints(quantize(real, other)), codes);
}

TEST(StochasticRoundingTest, NumbersOfNeighboursAreIndependent) {
  const RoundingNoise noise(1, "w");
  const RoundingNoise next(2, "w");
  double product = 0;
  double across = 0;
  for (size_t i = 0; i < kElements; ++i) {
    product += (noise.at(i) - 0.5) * (noise.at(i + 1) - 0.5);
    across += (noise.at(i) - 0.5) * (next.at(i) - 0.5);
  }
  // The product of two independent ones has a standard deviation of 1/12.
  const double limit = 5.0 / 12 * std::sqrt(static_cast<double>(kElements));
  EXPECT_LT(std::abs(product), limit);
  EXPECT_LT(std::abs(across), limit);
}

}  // namespace
}  // namespace narrow::quant
