#include "lib/runtime/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/ref/elementwise.h"

namespace narrow::runtime {
namespace {

const std::vector<Affine8> kParams = {{0.05F, 0, false}, {0.05F, 128, false}, {0.1F, 255, false},
                                      {0.02F, 0, true},  {0.02F, -128, true}, {0.3F, 127, true}};

std::vector<Byte> random_bytes(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Byte> bytes(count);
  for (Byte& byte : bytes) byte = static_cast<Byte>(random() & 0xFF);
  return bytes;
}

TEST(QuantizeElements, TiesGoToEvenAndLimitsSaturate) {
  // scale 2: x/scale is 0.5, 1.5, 2.5, -0.5, -1.5 before the zero point 10 is added.
  const std::vector<float> x = {1,
                                3,
                                5,
                                -1,
                                -3,
                                1e30F,
                                -1e30F,
                                std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN()};
  std::vector<Byte> q(x.size());
  quantize_elements({2.0F, 10, false}, x.data(), q.data(), q.size());
  EXPECT_EQ(q, (std::vector<Byte>{10, 12, 12, 10, 8, 255, 0, 255, 0, 10}));
  quantize_elements({2.0F, 10, true}, x.data(), q.data(), q.size());
  EXPECT_EQ(q, (std::vector<Byte>{10, 12, 12, 10, 8, 127, 0x80, 127, 0x80, 10}));
}

TEST(QuantizeElements, EqualsThePlainFormulaForEveryLength) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 8);
  for (const Affine8& params : kParams) {
    for (size_t count = 0; count < 70; ++count) {
      std::vector<float> x(count);
      for (float& value : x) value = normal(random);
      std::vector<Byte> q(count);
      quantize_elements(params, x.data(), q.data(), count);
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(q[i], ref::quantize_element(params, x[i])) << x[i];
    }
  }
}

TEST(DequantizeElements, EqualsThePlainFormulaForEveryByte) {
  for (const Affine8& params : kParams) {
    for (size_t count : {1U, 7U, 256U}) {
      std::vector<Byte> q(count);
      for (size_t i = 0; i < count; ++i) q[i] = static_cast<Byte>(i);
      std::vector<float> x(count);
      dequantize_elements(params, q.data(), x.data(), count);
      for (size_t i = 0; i < count; ++i) ASSERT_EQ(x[i], ref::dequantize_element(params, q[i]));
    }
  }
}

TEST(BinaryElements, KnownSum) {
  // (10 - 5) * 0.5 + (-3 - 1) * 0.25 = 1.5; 1.5 / 0.5 + 100 = 103.
  const Byte a = 10;
  const Byte b = static_cast<Byte>(-3);
  Byte y = 0;
  binary_elements({.op = BinaryOp::kAdd, .a = {0.5F, 5, false}, .b = {0.25F, 1, true}, .y = {0.5F, 100, false}}, &a,
                  OperandStep::kVector, &b, OperandStep::kVector, &y, 1);
  EXPECT_EQ(y, 103);
}

TEST(BinaryElements, EqualThePlainFormula) {
  const std::vector<Byte> a = random_bytes(67, 2);
  const std::vector<Byte> b = random_bytes(67, 3);
  for (const BinaryOp op : {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul}) {
    for (const Affine8& pa : kParams) {
      for (const Affine8& py : kParams) {
        const BinaryStep step{.op = op, .a = pa, .b = kParams[1], .y = py, .low = -1.5F, .high = 6};
        for (const bool scalar : {false, true}) {
          std::vector<Byte> y(a.size());
          binary_elements(step, a.data(), scalar ? OperandStep::kScalar : OperandStep::kVector, b.data(),
                          OperandStep::kVector, y.data(), y.size());
          for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], ref::binary_element(step, a[scalar ? 0 : i], b[i]));
        }
      }
    }
  }
}

TEST(RequantizeTable, ChangesSignAndScale) {
  // uint8 [scale 1, zero 128] into int8 [scale 2, zero 0]: 128 -> 0, 131 -> 1.5 -> 2, 255 -> 63.5 -> 64, 0 -> -64.
  const Table table = make_requantize_table({1.0F, 128, false}, {2.0F, 0, true});
  EXPECT_EQ(table[128], 0);
  EXPECT_EQ(table[131], 2);
  EXPECT_EQ(table[255], 64);
  EXPECT_EQ(static_cast<int8_t>(table[0]), -64);
}

}  // namespace
}  // namespace narrow::runtime
