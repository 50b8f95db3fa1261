#include "lib/onednn/matmul.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/onednn/matmul_shapes.h"
#include "tests/onednn/convolution_reference.h"

namespace narrow::onednn::test {
namespace {

struct Product {
  Shape a;
  Shape b;
  Transposed transposed;
  Shape result;
};

// Stored shapes, as ONNX has them; the results worked out by hand.
std::vector<Product> swept_products() {
  return {
      {{4, 8}, {8, 5}, {}, {4, 5}},
      {{1, 1}, {1, 1}, {}, {1, 1}},
      {{1, 512}, {512, 1000}, {}, {1, 1000}},
      {{3, 17}, {17, 5}, {}, {3, 5}},
      {{7, 64}, {33, 64}, {.b = true}, {7, 33}},
      {{64, 6}, {64, 32}, {.a = true}, {6, 32}},
      {{19, 3}, {7, 19}, {.a = true, .b = true}, {3, 7}},
      {{2, 5, 16}, {16, 24}, {}, {2, 5, 24}},
      {{2, 3, 5, 16}, {2, 3, 16, 9}, {}, {2, 3, 5, 9}},
      {{2, 3, 5, 16}, {2, 3, 9, 16}, {.b = true}, {2, 3, 5, 9}},
      {{2, 3, 5, 16}, {3, 16, 9}, {}, {2, 3, 5, 9}},
      {{2, 1, 5, 16}, {1, 3, 16, 9}, {}, {2, 3, 5, 9}},
      {{5, 16}, {3, 16, 9}, {}, {3, 5, 9}},
      {{2, 16, 5}, {16, 9}, {.a = true}, {2, 5, 9}},
      {{16}, {16, 9}, {}, {9}},
      {{5, 16}, {16}, {}, {5}},
      {{16}, {16}, {}, {}},
      {{16}, {3, 16, 9}, {}, {3, 9}},
      {{3, 5, 16}, {16}, {}, {3, 5}},
      {{128, 384}, {384, 96}, {}, {128, 96}},
      {{3, 0}, {0, 5}, {}, {3, 5}},
      {{0, 3}, {7, 0}, {.a = true, .b = true}, {3, 7}},
      {{2, 5, 0}, {2, 0, 9}, {}, {2, 5, 9}},
      {{0}, {0}, {}, {}},
  };
}

struct Types {
  DataType a = DataType::kFloat32;
  DataType b = DataType::kFloat32;
  DataType result = DataType::kFloat32;
};

struct ZeroPoints {
  int32_t a = 0;
  int32_t b = 0;
  int32_t result = 0;
};

struct MatmulCase {
  Types types;
  ZeroPoints zero_points;
  Clamp clamp;
  bool constant_b = true;
  bool with_bias = false;
  bool per_column = false;
};

Shape batch_of(const Shape& stored) {
  return stored.size() < 2 ? Shape{} : Shape(stored.begin(), stored.end() - 2);
}

// Which matrix of an operand takes part in matrix `index` of the result: batch axes are aligned at the end.
int64_t matrix_index(const Shape& operand, const Shape& batch, int64_t index) {
  int64_t at = 0, step = 1;
  for (size_t i = 0; i < operand.size(); ++i) {
    const int64_t size = operand[operand.size() - 1 - i];
    const int64_t coordinate = index % batch[batch.size() - 1 - i];
    index /= batch[batch.size() - 1 - i];
    at += (size == 1 ? 0 : coordinate) * step;
    step *= size;
  }
  return at;
}

// sum((a - za) * (b - zb)) in the result's order, exact for integers; and N.
struct Exact {
  std::vector<double> sums;
  int64_t columns = 0;
};

Exact multiply(const Product& product, const Tensor& a, const Tensor& b, ZeroPoints zero) {
  const bool row = product.a.size() == 1, column = product.b.size() == 1;  // rank-1 operands
  const bool swap_a = product.transposed.a && !row, swap_b = product.transposed.b && !column;
  const int64_t last_a = product.a.back(), last_b = product.b.back();
  const int64_t rows = row ? 1 : swap_a ? last_a : product.a[product.a.size() - 2];
  const int64_t columns = column ? 1 : swap_b ? product.b[product.b.size() - 2] : last_b;
  const int64_t terms = a.size() / element_count(batch_of(product.a)) / rows;
  Shape batch = product.result;
  batch.resize(batch.size() - (row ? 0 : 1) - (column ? 0 : 1));
  const Tensor real_a = to_float32(a), real_b = to_float32(b);
  Exact exact{.sums = {}, .columns = columns};
  for (int64_t index = 0; index < element_count(batch); ++index) {
    const int64_t from_a = matrix_index(batch_of(product.a), batch, index) * rows * terms;
    const int64_t from_b = matrix_index(batch_of(product.b), batch, index) * terms * columns;
    for (int64_t m = 0; m < rows; ++m) {
      for (int64_t n = 0; n < columns; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < terms; ++k) {
          const int64_t i = from_a + (swap_a ? k * rows + m : m * terms + k);
          const int64_t j = from_b + (swap_b ? n * terms + k : k * columns + n);
          sum += (double{real_a.data<float>()[static_cast<size_t>(i)]} - zero.a) *
                 (double{real_b.data<float>()[static_cast<size_t>(j)]} - zero.b);
        }
        exact.sums.push_back(sum);
      }
    }
  }
  return exact;
}

MatmulSpec make_spec(const Product& product, const MatmulCase& test, int64_t columns, double terms) {
  MatmulSpec spec;
  spec.source = test.types.a;
  spec.destination = test.types.result;
  spec.transpose_a = product.transposed.a;
  spec.transpose_b = product.transposed.b;
  spec.clamp = test.clamp;
  if (test.types.a == DataType::kFloat32) return spec;
  Requantize requantize{.source_scale = 0.013F, .source_zero_point = test.zero_points.a, .weight_scales = {}};
  for (int64_t n = 0; n < (test.per_column ? columns : 1); ++n) {
    requantize.weight_scales.push_back(0.0031F + 0.0007F * static_cast<float>(n % 5));
  }
  requantize.destination_scale = static_cast<float>(0.0077 * std::sqrt(std::max(terms, 1.0)));
  requantize.destination_zero_point = test.zero_points.result;
  spec.requantize = requantize;
  spec.weight_zero_point = test.zero_points.b;
  return spec;
}

// Weights, and u8 ones that are the same weights shifted up.
Tensor random_second_operand(DataType type, const Shape& shape) {
  if (type == DataType::kFloat32) return random_tensor(type, shape, 2);
  const Tensor weights = random_weights(shape, 2);
  if (type == DataType::kInt8) return weights;
  Tensor shifted(type, shape);
  const auto target = shifted.mutable_data<uint8_t>();
  for (size_t i = 0; i < target.size(); ++i) target[i] = static_cast<uint8_t>(weights.data<int8_t>()[i] + 128);
  return shifted;
}

void expect_matches_product(const Product& product, const MatmulCase& test) {
  SCOPED_TRACE(shape_text(product.a) + " x " + shape_text(product.b));
  const Tensor a = random_tensor(test.types.a, product.a, 1);
  const Tensor b = random_second_operand(test.types.b, product.b);
  const Exact exact = multiply(product, a, b, test.zero_points);
  const double terms = static_cast<double>(
      product.a.size() == 1 || !product.transposed.a ? product.a.back() : product.a[product.a.size() - 2]);
  const Tensor bias = test.with_bias ? random_tensor(DataType::kFloat32, {exact.columns}, 3) : Tensor();
  const MatmulSpec spec = make_spec(product, test, exact.columns, terms);
  const Matmul matmul = test.constant_b ? Matmul(spec, b, bias) : Matmul(spec);
  Workspace workspace;
  const Tensor result = matmul.run(a, test.constant_b ? Tensor() : b, workspace);
  ASSERT_EQ(result.shape(), product.result);
  ASSERT_EQ(result.type(), test.types.result);
  const Tensor actual = to_float32(result);
  ASSERT_EQ(actual.size(), static_cast<int64_t>(exact.sums.size()));
  for (size_t i = 0; i < exact.sums.size(); ++i) {
    const size_t n = i % static_cast<size_t>(exact.columns);
    double real = exact.sums[i];
    if (spec.requantize)
      real *= double{spec.requantize->source_scale} * spec.requantize->weight_scales[test.per_column ? n : 0];
    if (test.with_bias) real += bias.data<float>()[n];
    real = std::min<double>(std::max<double>(real, test.clamp.low), test.clamp.high);
    const double got = actual.data<float>()[i];
    if (test.types.result == DataType::kInt32) {
      ASSERT_EQ(got, exact.sums[i]) << "at " << i << " " << matmul.implementation();
    } else if (test.types.result == DataType::kFloat32) {
      ASSERT_NEAR(got, real, 2e-6 * std::sqrt(terms) + 1e-6 * std::abs(real))
          << "at " << i << " " << matmul.implementation();
    } else {
      const double steps = real / spec.requantize->destination_scale;
      const bool near_tie = std::abs(std::abs(steps - std::nearbyint(steps)) - 0.5) < 1e-4;
      const int32_t want =
          requantize(real, spec.requantize->destination_scale, test.zero_points.result, test.types.result);
      ASSERT_LE(std::abs(got - want), near_tie ? 1 : 0) << "at " << i << " " << matmul.implementation();
    }
  }
}

void expect_matches(const MatmulCase& test) {
  for (const Product& product : swept_products()) {
    expect_matches_product(product, test);
    if (::testing::Test::HasFailure()) return;
  }
}

constexpr Types kUnsigned{DataType::kUint8, DataType::kInt8, DataType::kUint8};
constexpr Types kSigned{DataType::kInt8, DataType::kInt8, DataType::kInt8};

TEST(MatmulFloat, ConstantOperand) {
  expect_matches({.types = {}, .zero_points = {}, .clamp = {}});
}

TEST(MatmulFloat, BiasAndClamp) {
  expect_matches({.types = {}, .zero_points = {}, .clamp = {.low = -0.5F, .high = 2}, .with_bias = true});
}

TEST(MatmulFloat, BothOperandsAtRunTime) {
  expect_matches({.types = {}, .zero_points = {}, .clamp = {}, .constant_b = false});
}

TEST(MatmulInteger, PerColumnScalesAndBias) {
  expect_matches({.types = kUnsigned, .zero_points = {}, .clamp = {}, .with_bias = true, .per_column = true});
}

TEST(MatmulInteger, AsymmetricSourceAndResult) {
  expect_matches({.types = kUnsigned,
                  .zero_points = {.a = 119, .result = 131},
                  .clamp = {.low = 0},
                  .with_bias = true,
                  .per_column = true});
}

TEST(MatmulInteger, SignedSource) {
  expect_matches({.types = kSigned, .zero_points = {.a = -11, .result = 4}, .clamp = {}, .per_column = true});
}

TEST(MatmulInteger, FloatResult) {
  expect_matches({.types = {DataType::kUint8, DataType::kInt8, DataType::kFloat32},
                  .zero_points = {.a = 128},
                  .clamp = {},
                  .with_bias = true,
                  .per_column = true});
}

TEST(MatmulInteger, AccumulatorIsExact) {
  for (const DataType a : {DataType::kUint8, DataType::kInt8}) {
    expect_matches({.types = {a, DataType::kInt8, DataType::kInt32}, .zero_points = {.a = 3, .b = -7}, .clamp = {}});
  }
}

TEST(MatmulInteger, ZeroPointOfTheSecondOperand) {
  expect_matches(
      {.types = kUnsigned, .zero_points = {.a = 100, .b = -9, .result = 128}, .clamp = {}, .with_bias = true});
}

TEST(MatmulInteger, UnsignedSecondOperand) {
  for (const bool constant : {true, false}) {
    expect_matches({.types = {DataType::kUint8, DataType::kUint8, DataType::kUint8},
                    .zero_points = {.a = 100, .b = 140, .result = 128},
                    .clamp = {},
                    .constant_b = constant});
  }
}

TEST(MatmulInteger, BothOperandsAtRunTime) {
  expect_matches({.types = kSigned, .zero_points = {.a = 5, .b = 0, .result = -3}, .clamp = {}, .constant_b = false});
}

struct LongProduct {
  Shape a;
  Shape b;
  bool transpose_a = false;
};

TEST(Matmul, ThreadCountDoesNotChangeABit) {
  const std::vector<LongProduct> products{{{1, 4096}, {4096, 10}},
                                          {{1, 2048}, {2048, 1000}},
                                          {{1, 25088}, {25088, 64}},
                                          {{4, 8192}, {8192, 16}},
                                          {{128, 768}, {768, 3072}},
                                          {{197, 333}, {333, 77}},
                                          {{12, 128, 64}, {12, 64, 128}},
                                          {{1, 64, 4096}, {1, 4096, 64}},
                                          // oneDNN splits these sums by thread.
                                          {{9216, 64}, {9216, 10}, true},
                                          {{9216, 1}, {9216, 1}, true}};
  const int before = thread_count();
  for (const LongProduct& product : products) {
    for (const bool constant : {true, false}) {
      SCOPED_TRACE(shape_text(product.a) + " x " + shape_text(product.b) + (constant ? " constant" : ""));
      const Tensor a = random_tensor(DataType::kFloat32, product.a, 1);
      const Tensor b = random_tensor(DataType::kFloat32, product.b, 2);
      MatmulSpec spec;
      spec.transpose_a = product.transpose_a;
      const Matmul matmul = constant ? Matmul(spec, b, Tensor()) : Matmul(spec);
      Workspace workspace;
      set_thread_count(1);
      const Tensor one = matmul.run(a, constant ? Tensor() : b, workspace);
      for (const int threads : {2, 4}) {
        set_thread_count(threads);
        const Tensor more = matmul.run(a, constant ? Tensor() : b, workspace);
        EXPECT_EQ(std::memcmp(one.bytes(), more.bytes(), one.byte_size()), 0)
            << threads << " threads " << matmul.implementation();
        EXPECT_EQ(thread_count(), threads);
      }
    }
  }
  set_thread_count(before);
}

ErrorKind error_of(const Shape& a, const Shape& b) {
  try {
    Workspace workspace;
    Matmul({}).run(Tensor(DataType::kFloat32, a), Tensor(DataType::kFloat32, b), workspace);
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "no error";
  return ErrorKind::kInternal;
}

TEST(Matmul, WrongShapesAreModelErrors) {
  EXPECT_EQ(error_of({2, 3}, {4, 5}), ErrorKind::kModel);
  EXPECT_EQ(error_of({2, 2, 3}, {3, 3, 5}), ErrorKind::kModel);
  EXPECT_EQ(error_of({}, {3}), ErrorKind::kModel);
}

TEST(Matmul, EmptyOperandGivesEmptyResult) {
  Workspace workspace;
  const Tensor result =
      Matmul({}).run(Tensor(DataType::kFloat32, {0, 3}), Tensor(DataType::kFloat32, {3, 5}), workspace);
  EXPECT_EQ(result.shape(), (Shape{0, 5}));
}

}  // namespace
}  // namespace narrow::onednn::test
