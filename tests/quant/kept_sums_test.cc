#include "lib/quant/kept_sums.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>
#include <tuple>

#include "lib/tensor/convert.h"

namespace narrow::quant {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

QuantParams one_scale(QuantType type, SumAxes sum_axes) {
  return {.type = type, .scales = {1}, .zero_points = {0}, .sum_axes = std::move(sum_axes)};
}

std::vector<float> codes(const Tensor& real, const QuantParams& params) {
  const Tensor result = to_float32(quantize(real, params));
  return {result.data<float>().begin(), result.data<float>().end()};
}

Tensor normal(const Shape& shape, float deviation) {
  Tensor result(DataType::kFloat32, shape);
  std::mt19937 random(3);
  std::normal_distribution<float> draw(0, deviation);
  for (float& element : result.mutable_data<float>()) element = draw(random);
  return result;
}

struct Errors {
  double of_sums = 0;  // mean square of the sums of errors over a run
  double largest = 0;  // of those sums
  double of_each = 0;  // mean square
};

Errors errors(const Tensor& real, const Tensor& rounded, size_t run) {
  Errors result;
  const auto from = real.data<float>();
  const auto to = rounded.data<float>();
  for (size_t first = 0; first < from.size(); first += run) {
    double sum = 0;
    for (size_t i = first; i < first + run; ++i) {
      sum += static_cast<double>(to[i]) - from[i];
      result.of_each += std::pow(static_cast<double>(to[i]) - from[i], 2) / static_cast<double>(from.size());
    }
    result.of_sums += sum * sum / (static_cast<double>(from.size()) / static_cast<double>(run));
    result.largest = std::max(result.largest, std::abs(sum));
  }
  return result;
}

// By hand: the errors sum to -1.8. One weight up: -0.8, which saves 3.24 - 0.64 and costs 0.55^2 - 0.45^2 = 0.1; the
// next: 0.2, which saves 0.6. Beyond 0 there is nothing to gain.
TEST(KeptSumsTest, AsManyAreRoundedTheOtherWayAsTheSumWants) {
  const Tensor weights = Tensor::of<float>({1, 5}, {0.45F, 0.45F, 0.45F, 0.45F, 3});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt8, {})), ElementsAre(0, 0, 0, 0, 3));
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt8, {{1}})), ElementsAre(1, 1, 0, 0, 3));
  EXPECT_THAT(codes(weights, one_scale(QuantType::kUint8, {{1}})), ElementsAre(1, 1, 0, 0, 3));
}

// The sum is 0.3 + 0.3 - 0.1 over: turning 1.7 saves 0.25 and costs 0.7^2 - 0.3^2.
TEST(KeptSumsTest, WhatCostsMoreThanItSavesIsLeft) {
  const Tensor weights = Tensor::of<float>({4}, {1.7F, 1.7F, 1.1F, 0});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt8, {{0}})), ElementsAre(2, 2, 1, 0));
}

TEST(KeptSumsTest, WeightsOnCodesStayThere) {
  const Tensor weights = Tensor::of<float>({2, 3}, {1, -2, 3, -4, 5, 0});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt4, {{1}})), ElementsAre(1, -2, 3, -4, 5, 0));
}

// 7.4 lies outside of int4 and of what the others use: its error can not be made up for by a code 8, nor by codes
// above those of the range in use.
TEST(KeptSumsTest, NoCodeIsTakenThatNearestRoundingDoesNotReach) {
  const Tensor weights = Tensor::of<float>({3}, {2.45F, 2.45F, 2.45F});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt8, {{0}})), ElementsAre(2, 2, 2));
  const Tensor clipped = Tensor::of<float>({3}, {7.4F, 7.4F, 0});
  EXPECT_THAT(codes(clipped, one_scale(QuantType::kInt4, {{0}})), ElementsAre(7, 7, 0));
}

TEST(KeptSumsTest, EachKernelThenEachOutputSumsToNearlyNothing) {
  const Tensor weights = normal({16, 8, 3, 3}, 20);
  const Tensor nearest =
      dequantize(quantize(weights, one_scale(QuantType::kInt8, {})), one_scale(QuantType::kInt8, {}));
  const Tensor kept = to_float32(quantize(weights, one_scale(QuantType::kInt8, {{2, 3}, {1, 2, 3}})));
  EXPECT_GT(errors(weights, nearest, 9).largest, 1.5);
  EXPECT_LT(errors(weights, kept, 72).largest, 0.75);
  EXPECT_LT(errors(weights, kept, 9).of_sums, errors(weights, nearest, 9).of_sums / 4);
  EXPECT_LT(errors(weights, kept, 72).of_sums, errors(weights, nearest, 72).of_sums / 20);
  EXPECT_LT(errors(weights, kept, 9).of_each, errors(weights, nearest, 9).of_each * 1.5);
}

// Sums over axis 0, not over what lies together.
TEST(KeptSumsTest, OutputsMayBeTheLastAxis) {
  const Tensor weights = Tensor::of<float>({3, 2}, {0.45F, 2, 0.45F, 0, 3, -0.45F});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kInt8, {{0}})), ElementsAre(1, 2, 0, 0, 3, 0));
}

// Steps of 1 and of 10: the large step would overshoot.
TEST(KeptSumsTest, BlocksHaveStepsOfTheirOwn) {
  const Tensor weights = Tensor::of<float>({1, 4}, {0.45F, 1.45F, 4, 20});
  const QuantParams blocks{
      .type = QuantType::kInt8, .axis = 1, .block = 2, .scales = {1, 10}, .zero_points = {0, 0}, .sum_axes = {{1}}};
  // Nearest: 0, 1 | 0, 2: errors -0.45 - 0.45 - 4. One up: saves 4.9^2 - 3.9^2; the second too; 4 to 10 would give 7.1.
  EXPECT_THAT(codes(weights, blocks), ElementsAre(1, 2, 0, 2));
}

TEST(KeptSumsTest, FloatingPointTypesHaveUnequalSteps) {
  // float8e4m3fn between 8 and 16 has steps of 1, between 16 and 32 of 2.
  const Tensor weights = Tensor::of<float>({4}, {8.45F, 8.45F, 16.9F, 8.45F});
  EXPECT_THAT(codes(weights, one_scale(QuantType::kFloat8e4m3fn, {})), ElementsAre(8, 8, 16, 8));
  // -0.45 * 3 - 0.9: 18 for 16.9 takes 2 of 2.25 and costs 0.2 a unit less than ... all cost 0.1 for each unit or more.
  const std::vector<float> kept = codes(weights, one_scale(QuantType::kFloat8e4m3fn, {{0}}));
  EXPECT_NEAR(std::accumulate(kept.begin(), kept.end(), 0.0), 42.25, 0.5);
}

// The second channel's largest weight lies half a step beyond its last code, where the first channel's zero point would
// leave room for another.
TEST(KeptSumsTest, NoCodeIsTakenBeyondTheTypesEnds) {
  for (const auto& [type, zeros, far] : {std::tuple(QuantType::kUint8, std::vector<int32_t>{100, 200}, 155.0F),
                                         std::tuple(QuantType::kInt8, std::vector<int32_t>{-28, 72}, 155.0F),
                                         std::tuple(QuantType::kUint4, std::vector<int32_t>{6, 12}, 9.0F)}) {
    const float last = far - static_cast<float>(zeros[1] - zeros[0]);
    const Tensor weights = Tensor::of<float>({2, 3}, {far, 0, 0, last + 0.4F, 1.4F, 1.4F});
    const QuantParams params{
        .type = type, .axis = 0, .scales = {1, 1}, .zero_points = {zeros[0], zeros[1]}, .sum_axes = {{1}}};
    const Tensor kept = dequantize(quantize(weights, params), params);
    const auto values = kept.data<float>();
    EXPECT_EQ(values[3], last) << row(type).name;
    for (size_t k = 0; k < values.size(); ++k) EXPECT_LT(std::abs(values[k] - weights.data<float>()[k]), 1) << k;
  }
}

}  // namespace
}  // namespace narrow::quant
