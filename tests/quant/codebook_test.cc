#include "lib/quant/codebook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "lib/base/parallel.h"

namespace narrow::quant {
namespace {

using testing::ElementsAre;

double squared_error(const Tensor& weight, const QuantParams& params) {
  const Tensor back = dequantize(quantize(weight, params), params);
  const auto a = weight.data<float>();
  const auto b = back.data<float>();
  double error = 0;
  for (size_t i = 0; i < a.size(); ++i) error += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return error;
}

/// Channels whose magnitudes are far apart, with a few large elements.
Tensor random_weight(const Shape& shape, int64_t axis, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Tensor weight(DataType::kFloat32, shape);
  const auto values = weight.mutable_data<float>();
  size_t inner = 1;
  for (auto i = static_cast<size_t>(axis) + 1; i < shape.size(); ++i) inner *= static_cast<size_t>(shape[i]);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto channel = static_cast<float>(i / inner % static_cast<size_t>(shape[static_cast<size_t>(axis)]));
    const float tail = i % 97 == 0 ? 4.0F : 1.0F;
    values[i] = normal(random) * tail * (0.01F + channel * channel);
  }
  return weight;
}

TEST(CodebookTest, OneCodebookHoldsTheMeansOfItsClusters) {
  const Tensor weight = Tensor::of<float>({2, 3}, {-2, 5, -4, 5, -2, 7});
  const QuantParams params = choose_codebook_params(weight, {.entries = 2});
  EXPECT_EQ(params.type, QuantType::kCodebook);
  EXPECT_THAT(params.scales, ElementsAre(1));
  EXPECT_EQ(params.axis, std::nullopt);
  EXPECT_THAT(params.codebooks->values, ElementsAre(-8.0F / 3, 17.0F / 3));
  const Tensor codes = quantize(weight, params);
  EXPECT_THAT(std::vector<int>(codes.data<uint8_t>().begin(), codes.data<uint8_t>().end()),
              ElementsAre(0, 1, 0, 1, 0, 1));
  const Tensor back = dequantize(codes, params);
  EXPECT_EQ(back.data<float>()[5], 17.0F / 3);
}

TEST(CodebookTest, GroupsOfChannelsHaveTheirOwn) {
  // Axis 1, two channels to a codebook; the third has one alone.
  const Tensor weight = Tensor::of<float>({2, 3}, {1, 2, 30, 2, 1, 40});
  const QuantParams params = choose_codebook_params(weight, {.entries = 2, .axis = 1, .channels = 2});
  EXPECT_EQ(params.codebooks->axis, 1);
  EXPECT_EQ(params.codebooks->channels, 2);
  EXPECT_THAT(params.codebooks->values, ElementsAre(1, 2, 30, 40));
  EXPECT_EQ(squared_error(weight, params), 0);
}

TEST(CodebookTest, AGroupOfAllChannelsIsOneCodebook) {
  const Tensor weight = Tensor::of<float>({2, 1}, {1, 2});
  EXPECT_EQ(choose_codebook_params(weight, {.entries = 2, .axis = 0, .channels = 2}).codebooks->axis, std::nullopt);
}

TEST(CodebookTest, FewerValuesThanEntriesAreExact) {
  const Tensor weight = Tensor::of<float>({4}, {0.1F, -3, 0.1F, 7});
  const QuantParams params = choose_codebook_params(weight, {.entries = 16});
  EXPECT_EQ(params.codebooks->values.size(), 16U);
  EXPECT_EQ(squared_error(weight, params), 0);
}

TEST(CodebookTest, WithScalesNeverWorseThanIntegersOfAsManyBits) {
  for (const int64_t axis : {0, 1}) {
    const Tensor weight = random_weight({24, 60}, axis, 3);
    const QuantParams integers = choose_weight_params(
        weight, {.type = QuantType::kInt4, .symmetric = true, .fit = WeightFit::kSquaredError}, {.axis = axis});
    const QuantParams params = choose_codebook_params(weight, {.entries = 16, .axis = axis, .scaled = true});
    EXPECT_EQ(params.axis, axis);
    EXPECT_LT(squared_error(weight, params), 0.9 * squared_error(weight, integers));
  }
}

/// Two heaps that all channels share: scales by each channel's largest would move them apart.
TEST(CodebookTest, ScalesDoNotSpoilChannelsThatAreAlike) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  Tensor weight(DataType::kFloat32, {8, 32});
  for (float& value : weight.mutable_data<float>()) {
    value = (random() % 2 == 1 ? 1.0F : -1.0F) * (1 + 0.1F * normal(random));
  }
  const double one = squared_error(weight, choose_codebook_params(weight, {.entries = 16}));
  EXPECT_LE(squared_error(weight, choose_codebook_params(weight, {.entries = 16, .axis = 0, .scaled = true})),
            1.02 * one);
}

TEST(CodebookTest, HistogramsOfManyElementsComeCloseToThePoints) {
  // 40,000 elements are more than the points of the exact solution: half of them, twice, are the same clusters.
  const Tensor half = random_weight({1, 16384}, 0, 5);
  Tensor twice(DataType::kFloat32, {2, 16384});
  for (size_t i = 0; i < 32768; ++i) twice.mutable_data<float>()[i] = half.data<float>()[i % 16384];
  const QuantParams exact = choose_codebook_params(half, {.entries = 8});
  const QuantParams binned = choose_codebook_params(twice, {.entries = 8});
  EXPECT_NEAR(squared_error(twice, binned) / squared_error(twice, exact), 1, 1e-4);
}

TEST(CodebookTest, ChannelsOfZerosStayZeroAndDisturbNoOther) {
  const Tensor weight = Tensor::of<float>({3, 4}, {0, 0, 0, 0, 1, 2, 3, 4, 1e-40F, 0, -1e-40F, 0});
  const QuantParams params = choose_codebook_params(weight, {.entries = 4, .axis = 0, .scaled = true});
  const Tensor back = dequantize(quantize(weight, params), params);
  for (const size_t i : {0U, 3U, 8U, 11U}) EXPECT_LT(std::abs(back.data<float>()[i]), 1e-36F);
  for (const size_t i : {4U, 5U, 6U, 7U}) EXPECT_NEAR(back.data<float>()[i], weight.data<float>()[i], 1e-6);
}

TEST(CodebookTest, TheSameAtAnyThreadCount) {
  const Tensor weight = random_weight({64, 300}, 0, 9);
  const CodebookScheme scheme{.entries = 16, .axis = 0, .channels = 4, .scaled = true};
  set_thread_count(1);
  const QuantParams one = choose_codebook_params(weight, scheme);
  set_thread_count(3);
  EXPECT_EQ(choose_codebook_params(weight, scheme), one);
  set_thread_count(1);
}

TEST(CodebookTest, BitsOfACode) {
  QuantParams params{.type = QuantType::kCodebook, .scales = {1}, .zero_points = {0}, .codebooks = Codebooks{}};
  std::vector<int> bits;
  for (const int64_t entries : {2, 3, 4, 5, 16, 17, 256}) {
    params.codebooks->entries = entries;
    bits.push_back(stored_bits(params));
  }
  EXPECT_THAT(bits, ElementsAre(1, 2, 2, 4, 4, 8, 8));
  EXPECT_EQ(stored_bits({.type = QuantType::kBinary, .scales = {1}, .zero_points = {0}}), 1);
}

}  // namespace
}  // namespace narrow::quant
