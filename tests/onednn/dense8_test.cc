#include "lib/onednn/dense8.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "lib/onednn/dense_convolution.h"
#include "lib/onednn/padded_rows.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct Case {
  Dense8Spec spec;
  int64_t positions = 1;
  int32_t source_zero_point = 0;
  int32_t destination_zero_point = 0;
  float bias_step = 1;  // biases are multiples of it, in steps of the sum
  Clamp clamp;
};

OutputTransform transform_of(const Case& test) {
  OutputTransform transform;
  transform.source_zero_point = test.source_zero_point;
  if (test.spec.destination == DataType::kInt32) return transform;
  transform.bias_first = test.spec.destination != DataType::kFloat32;
  transform.destination_zero_point = test.destination_zero_point;
  transform.clamp = test.clamp;
  for (int64_t c = 0; c < test.spec.columns; ++c) {
    transform.multipliers.push_back(0.002F + 0.0001F * static_cast<float>(c % 11));
    transform.bias.push_back(static_cast<float>(c * 37 % 101 - 50) * test.bias_step);
  }
  return transform;
}

// Result [position][column] by the formulas of OutputTransform, in one float32 operation after the other.
std::vector<float> expected(const Case& test, const Tensor& source, const Tensor& weights) {
  const Dense8Spec& spec = test.spec;
  const OutputTransform transform = transform_of(test);
  const Tensor numbers = to_float32(source);
  const float least = spec.destination == DataType::kInt8 ? -128 : 0;
  std::vector<float> results;
  for (int64_t p = 0; p < test.positions; ++p) {
    for (int64_t c = 0; c < spec.columns; ++c) {
      int32_t sum = 0;
      for (int64_t i = 0; i < spec.run_bytes; ++i) {
        const auto x = static_cast<int32_t>(numbers.data<float>()[static_cast<size_t>(p * spec.run_bytes + i)]);
        sum += (x - test.source_zero_point) * weights.data<int8_t>()[static_cast<size_t>(c * spec.run_bytes + i)];
      }
      if (spec.destination == DataType::kInt32) {
        results.push_back(static_cast<float>(sum));
        continue;
      }
      const float bias = transform.bias[static_cast<size_t>(c)];
      const float factor = transform.multipliers[static_cast<size_t>(c)];
      const auto limited = [&](float x) { return std::min(std::max(x, test.clamp.low), test.clamp.high); };
      if (spec.destination == DataType::kFloat32) {
        const float product = static_cast<float>(sum) * factor;
        results.push_back(limited(product + bias));
        continue;
      }
      const float shifted = static_cast<float>(sum) + bias;
      const float steps = std::nearbyint(limited(shifted * factor)) + static_cast<float>(test.destination_zero_point);
      results.push_back(std::min(std::max(steps, least), least + 255));
    }
  }
  return results;
}

void expect_matches(const Case& test) {
  if (!Dense8::available()) GTEST_SKIP() << "no AVX-512 VNNI";
  const Dense8Spec& spec = test.spec;
  SCOPED_TRACE(fmt::format("{} columns, {} positions of {} bytes", spec.columns, test.positions, spec.run_bytes));
  const DataType type = spec.signed_source ? DataType::kInt8 : DataType::kUint8;
  const Tensor source = random_tensor(type, {test.positions, spec.run_bytes}, 1);
  const Tensor weights = random_tensor(DataType::kInt8, {spec.columns, spec.run_bytes}, 2);
  const Dense8 product(spec, weights.data<int8_t>().data(), transform_of(test));
  Tensor result(spec.destination, {test.positions, spec.columns});
  multiply_rows(product, {.source = source.bytes(), .result = result.mutable_bytes(), .count = test.positions});
  const Tensor actual = to_float32(result);
  const std::vector<float> wanted = expected(test, source, weights);
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(actual.data<float>()[i], wanted[i]) << "column " << i % static_cast<size_t>(spec.columns);
  }
}

// Every tile: up to 16 positions of up to four registers of columns, whole ones and not.
TEST(Dense8, EveryTileIsExact) {
  for (const int64_t columns : {1, 8, 13, 16, 24, 32, 40, 48, 57, 64, 100, 130}) {
    for (int64_t positions = 1; positions <= 17; ++positions) {
      expect_matches({.spec = {.columns = columns, .run_bytes = 12},
                      .positions = positions,
                      .source_zero_point = 7,
                      .destination_zero_point = 3,
                      .clamp = {}});
    }
  }
}

TEST(Dense8, EveryDestination) {
  for (const DataType destination : {DataType::kUint8, DataType::kInt8, DataType::kInt32, DataType::kFloat32}) {
    for (const int64_t columns : {7, 16, 31, 48, 64, 90}) {
      expect_matches({.spec = {.columns = columns, .run_bytes = 20, .destination = destination},
                      .positions = 21,
                      .source_zero_point = 113,
                      .destination_zero_point = destination == DataType::kUint8 ? 77 : -5,
                      .clamp = {}});
    }
  }
}

TEST(Dense8, SignedSourceAndRunsOfAnyLength) {
  for (int64_t bytes = 1; bytes <= 70; bytes += 3) {
    expect_matches({.spec = {.columns = 33, .run_bytes = bytes, .signed_source = true, .destination = DataType::kInt8},
                    .positions = 9,
                    .source_zero_point = -37,
                    .clamp = {}});
  }
}

// Biases that are no whole steps, and sums that float32 rounds, stay apart until they are float32.
TEST(Dense8, FractionsAndLargeSumsAreRoundedInTheSameOrder) {
  expect_matches({.spec = {.columns = 64, .run_bytes = 40}, .positions = 30, .bias_step = 0.37F, .clamp = {}});
  expect_matches({.spec = {.columns = 64, .run_bytes = 1536}, .positions = 30, .bias_step = 1001, .clamp = {}});
}

TEST(Dense8, ClampIsInSteps) {
  for (const DataType destination : {DataType::kUint8, DataType::kInt8, DataType::kFloat32}) {
    expect_matches({.spec = {.columns = 70, .run_bytes = 32, .destination = destination},
                    .positions = 13,
                    .destination_zero_point = 10,
                    .clamp = {.low = -3.5F, .high = 19.5F}});
  }
}

// More positions, and longer ones, than one pass over the columns takes.
TEST(Dense8, ManyPositions) {
  expect_matches({.spec = {.columns = 20, .run_bytes = 33}, .positions = 5000, .clamp = {}});
  expect_matches({.spec = {.columns = 65, .run_bytes = 4096}, .positions = 70, .clamp = {}});
}

TEST(PaddedRows, PadsOnAllSidesAndFlipsSigns) {
  const auto bytes = [](std::initializer_list<int> values) {
    std::vector<std::byte> result;
    for (const int value : values) result.push_back(static_cast<std::byte>(value));
    return result;
  };
  const std::vector<std::byte> image = bytes({1, 2, 3, 4, 5, 6});  // 2 rows of 3 pixels
  const PaddedRows rows{.height = 2, .width = 3, .left = 2, .padded_width = 6, .padding = std::byte{9}};
  std::vector<std::byte> copy(24);
  rows.copy(image.data(), -1, 4, copy.data());
  EXPECT_EQ(copy, bytes({9, 9, 9, 9, 9, 9, 9, 9, 1, 2, 3, 9, 9, 9, 4, 5, 6, 9, 9, 9, 9, 9, 9, 9}));
  const PaddedRows cut{.height = 2, .width = 3, .left = 1, .padded_width = 3, .flip_signs = true};
  copy.resize(3);
  cut.copy(image.data(), 1, 1, copy.data());
  EXPECT_EQ(copy, bytes({0, 0x84, 0x85}));
}

}  // namespace
}  // namespace narrow::onednn::test
