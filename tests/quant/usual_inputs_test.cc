#include "lib/quant/usual_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "lib/tensor/convert.h"

namespace narrow::quant {
namespace {

/// The numbers that the halves stand for.
Tensor rounded(const Tensor& real, DataType type, const SumAxes& sum_axes, const Tensor& bias) {
  const Tensor halves = round_for_usual_inputs(real, type, sum_axes, bias);
  EXPECT_EQ(halves.type(), type);
  return to_float32(halves);
}

using testing::ElementsAreArray;

Tensor normal(const Shape& shape) {
  Tensor result(DataType::kFloat32, shape);
  std::mt19937 random(3);
  std::normal_distribution<float> draw(0, 1);
  for (float& element : result.mutable_data<float>()) element = draw(random);
  return result;
}

Tensor nearest(const Tensor& real, DataType type) {
  Workspace workspace;
  return convert_elements(convert_elements(real, type, workspace), DataType::kFloat32, workspace);
}

/// Mean square of what errors make of inputs: all of one value ("level"), or falling along each kernel's row
/// ("slope"), where kernels are 3x3 and 9 elements long.
struct OutputErrors {
  double level = 0;
  double slope = 0;
  double each = 0;
};

OutputErrors output_errors(const Tensor& real, const Tensor& rounded, size_t terms) {
  OutputErrors result;
  const auto a = real.data<float>();
  const auto b = rounded.data<float>();
  const double outputs = static_cast<double>(a.size()) / static_cast<double>(terms);
  for (size_t start = 0; start < a.size(); start += terms) {
    double level = 0;
    double slope = 0;
    for (size_t i = start; i < start + terms; ++i) {
      const double error = static_cast<double>(b[i]) - static_cast<double>(a[i]);
      level += error;
      slope += error * (10 - static_cast<double>(i % 3));
      result.each += error * error / static_cast<double>(a.size());
    }
    result.level += level * level / outputs;
    result.slope += slope * slope / 81 / outputs;
  }
  return result;
}

class UsualInputs : public testing::TestWithParam<DataType> {};

TEST_P(UsualInputs, ErrorsCancelWhereInputsAreAlike) {
  const Tensor weights = normal({32, 4, 3, 3});
  const Tensor kept = rounded(weights, GetParam(), {{2, 3}, {1, 2, 3}}, Tensor());
  const OutputErrors own = output_errors(weights, kept, 36);
  const OutputErrors plain = output_errors(weights, nearest(weights, GetParam()), 36);
  EXPECT_LT(own.level, plain.level / 100);
  EXPECT_LT(own.slope, plain.slope / 50);
  EXPECT_LT(own.each, plain.each * 2);
  EXPECT_THAT(nearest(kept, GetParam()).data<float>(), ElementsAreArray(kept.data<float>()));
}

TEST_P(UsualInputs, DepthwiseKernelsAreSumsOfTheirOwn) {
  const Tensor weights = normal({64, 1, 3, 3});
  const Tensor kept = rounded(weights, GetParam(), {{2, 3}, {1, 2, 3}}, Tensor());
  EXPECT_LT(output_errors(weights, kept, 9).level, output_errors(weights, nearest(weights, GetParam()), 9).level / 30);
}

TEST_P(UsualInputs, MatricesHaveOutputsOnEitherAxis) {
  const Tensor weights = normal({16, 48});
  const Tensor rows = rounded(weights, GetParam(), {{1}}, Tensor());
  EXPECT_LT(output_errors(weights, rows, 48).level,
            output_errors(weights, nearest(weights, GetParam()), 48).level / 100);
  Tensor turned(DataType::kFloat32, {48, 16});
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 48; ++j) turned.mutable_data<float>()[j * 16 + i] = weights.data<float>()[i * 48 + j];
  }
  const Tensor columns = rounded(turned, GetParam(), {{0}}, Tensor());
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 48; ++j) EXPECT_EQ(columns.data<float>()[j * 16 + i], rows.data<float>()[i * 48 + j]);
  }
}

TEST_P(UsualInputs, WithoutSumsEachGoesToTheNearest) {
  const Tensor weights = normal({5, 7});
  EXPECT_THAT(rounded(weights, GetParam(), {}, Tensor()).data<float>(),
              ElementsAreArray(nearest(weights, GetParam()).data<float>()));
}

// 64 * 0.126 = 8.064 against a bias of -8.1: inputs of 1 give -0.036, which the rounded bias alone would move by as
// much own error; the sum of the weights follows it.
TEST_P(UsualInputs, WeightsFollowABiasThatTheyCancel) {
  Tensor weights(DataType::kFloat32, {1, 64});
  for (float& weight : weights.mutable_data<float>()) weight = 0.125F + 0.001F;
  const Tensor bias = Tensor::of<float>({1}, {-8.1F});
  const double moved = static_cast<double>(nearest(bias, GetParam()).data<float>()[0]) + 8.1;
  const auto sum = [](const Tensor& tensor) {
    double total = 0;
    for (const float weight : tensor.data<float>()) total += weight;
    return total;
  };
  const double real = sum(weights);
  const double alone = sum(rounded(weights, GetParam(), {{1}}, Tensor())) - real;
  const double with = sum(rounded(weights, GetParam(), {{1}}, bias)) - real;
  EXPECT_GT(std::abs(moved + alone), std::abs(moved) * 0.8);
  EXPECT_LT(std::abs(moved + with), std::abs(moved) * 0.35);
}

INSTANTIATE_TEST_SUITE_P(Types, UsualInputs, testing::Values(DataType::kFloat16, DataType::kBfloat16));

}  // namespace
}  // namespace narrow::quant
