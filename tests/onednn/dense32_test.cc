#include "lib/onednn/dense32.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "lib/onednn/dense_convolution.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct Case {
  Dense32Spec spec;
  int64_t positions = 1;
  bool with_residual = false;
};

float activated(float x, const Activation& activation) {
  const float line = activation.alpha * x + activation.beta;
  const float step = std::min(std::max(line, 0.0F), 1.0F);
  switch (activation.kind) {
    case Activation::Kind::kLinear:
      return line;
    case Activation::Kind::kClamp:
      return std::min(std::max(x, activation.alpha), activation.beta);
    case Activation::Kind::kLeakyRelu:
      return x < 0 ? activation.alpha * x : x;
    case Activation::Kind::kHardSigmoid:
      return step;
    default:
      return x * step;
  }
}

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0];
  const int64_t columns = matrix.shape()[1];
  Tensor result(DataType::kFloat32, {columns, rows});
  const auto to = result.mutable_data<float>();
  for (int64_t i = 0; i < matrix.size(); ++i) {
    to[static_cast<size_t>(i % columns * rows + i / columns)] = matrix.data<float>()[static_cast<size_t>(i)];
  }
  return result;
}

Tensor multiplied(const Case& test, const Tensor& source, const Dense32Weights& weights, const Tensor& residual) {
  const auto bias = random_tensor(DataType::kFloat32, {test.spec.columns}, 3);
  const auto values = bias.data<float>();
  const Dense32 product(test.spec, weights, {values.begin(), values.end()});
  Tensor result(DataType::kFloat32, {test.positions, test.spec.columns});
  multiply_rows(product, {.source = source.bytes(),
                          .residual = test.with_residual ? residual.bytes() : nullptr,
                          .result = result.mutable_bytes(),
                          .count = test.positions});
  return result;
}

void expect_matches(const Case& test) {
  if (!Dense32::available()) GTEST_SKIP() << "no AVX-512";
  const auto& [columns, runs, terms, clamp, activations] = test.spec;
  SCOPED_TRACE(fmt::format("{} columns, {} positions of {} terms", columns, test.positions, terms));
  const Tensor source = random_tensor(DataType::kFloat32, {test.positions, terms}, 1);
  const Tensor weights = random_tensor(DataType::kFloat32, {columns, terms}, 2);
  const Tensor bias = random_tensor(DataType::kFloat32, {columns}, 3);
  const Tensor residual = random_tensor(DataType::kFloat32, {test.positions, columns}, 4);
  const Tensor result = multiplied(test, source, {.data = weights.data<float>().data()}, residual);
  const Tensor turned = transposed(weights);
  const Tensor same = multiplied(test, source, {.data = turned.data<float>().data(), .terms_first = true}, residual);
  ASSERT_EQ(std::memcmp(result.bytes(), same.bytes(), result.byte_size()), 0);
  for (int64_t p = 0; p < test.positions; ++p) {
    for (int64_t c = 0; c < columns; ++c) {
      double sum = static_cast<double>(bias.data<float>()[static_cast<size_t>(c)]);
      for (int64_t i = 0; i < terms; ++i) {
        sum += double{source.data<float>()[static_cast<size_t>(p * terms + i)]} *
               double{weights.data<float>()[static_cast<size_t>(c * terms + i)]};
      }
      const auto at = static_cast<size_t>(p * columns + c);
      if (test.with_residual) sum += static_cast<double>(residual.data<float>()[at]);
      auto wanted = std::min(std::max(static_cast<float>(sum), clamp.low), clamp.high);
      for (const Activation& activation : activations) wanted = activated(wanted, activation);
      ASSERT_NEAR(result.data<float>()[at], wanted, 3e-6 * std::sqrt(static_cast<double>(terms))) << at;
    }
  }
}

// Every tile: up to 16 positions of up to four registers of columns, whole ones and not; few columns are half
// registers.
TEST(Dense32, EveryTile) {
  for (const int64_t columns : {1, 5, 8, 13, 16, 24, 32, 48, 57, 64, 100}) {
    for (int64_t positions = 1; positions <= 17; ++positions) {
      expect_matches({.spec = {.columns = columns, .terms = 7, .clamp = {}, .activations = {}},
                      .positions = positions,
                      .with_residual = positions % 2 == 0});
    }
  }
}

TEST(Dense32, ClampsAndActivations) {
  using Kind = Activation::Kind;
  for (const Activation& activation :
       {Activation{Kind::kLinear, 0.5F, 0.25F}, Activation{Kind::kClamp, -0.25F, 0.5F},
        Activation{Kind::kLeakyRelu, 0.125F, 0}, Activation{Kind::kHardSigmoid, 0.25F, 0.5F},
        Activation{Kind::kHardSwish, 1.0F / 6, 0.5F}}) {
    for (const int64_t columns : {6, 40}) {
      expect_matches({.spec = {.columns = columns,
                               .terms = 20,
                               .clamp = {.low = -0.5F, .high = 1.5F},
                               .activations = {activation, {Kind::kLinear, 2, -1}}},
                      .positions = 11,
                      .with_residual = true});
    }
  }
  EXPECT_FALSE(Dense32::computes({{Kind::kTanh, 1, 0}}));
}

// A position's results have the same bits among others and alone.
TEST(Dense32, PositionsDoNotDependOnEachOther) {
  if (!Dense32::available()) GTEST_SKIP() << "no AVX-512";
  for (const int64_t columns : {8, 20, 64, 150}) {
    const Case all{.spec = {.columns = columns, .terms = 333, .clamp = {}, .activations = {}}, .positions = 200};
    Case one = all;
    one.positions = 1;
    const Tensor source = random_tensor(DataType::kFloat32, {all.positions, 333}, 1);
    const Tensor weights = random_tensor(DataType::kFloat32, {columns, 333}, 2);
    const Tensor together = multiplied(all, source, {.data = weights.data<float>().data()}, Tensor());
    for (const int64_t p : {0, 5, 77, 199}) {
      Tensor row(DataType::kFloat32, {1, 333});
      std::memcpy(row.mutable_bytes(), source.bytes() + p * 333 * 4, 333 * 4);
      const Tensor alone = multiplied(one, row, {.data = weights.data<float>().data()}, Tensor());
      EXPECT_EQ(std::memcmp(alone.bytes(), together.bytes() + p * columns * 4, static_cast<size_t>(columns) * 4), 0);
    }
  }
}

TEST(Dense32, KeepsNaNWhereItComesFrom) {
  if (!Dense32::available()) GTEST_SKIP() << "no AVX-512";
  for (const int64_t columns : {6, 40}) {
    for (const Clamp& clamp : {Clamp{}, Clamp{.low = 0, .high = 6}}) {
      const Case test{.spec = {.columns = columns, .terms = 5, .clamp = clamp, .activations = {}}, .positions = 4};
      Tensor source = random_tensor(DataType::kFloat32, {4, 5}, 1);
      source.mutable_data<float>()[2 * 5 + 3] = std::numeric_limits<float>::quiet_NaN();
      const Tensor weights = random_tensor(DataType::kFloat32, {columns, 5}, 2);
      const Tensor result = multiplied(test, source, {.data = weights.data<float>().data()}, Tensor());
      for (int64_t i = 0; i < result.size(); ++i) {
        EXPECT_EQ(std::isnan(result.data<float>()[static_cast<size_t>(i)]), i / columns == 2) << i;
      }
    }
  }
}

}  // namespace
}  // namespace narrow::onednn::test
