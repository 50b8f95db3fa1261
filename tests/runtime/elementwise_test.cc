#include "lib/runtime/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <random>
#include <vector>

#include "lib/runtime/kernels/byte_table.h"
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
  for (const BinaryOp op :
       {BinaryOp::kAdd, BinaryOp::kSub, BinaryOp::kMul, BinaryOp::kDiv, BinaryOp::kMax, BinaryOp::kMin}) {
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

struct Tie {
  BinaryStep step;
  int a;
  int b;
  int y;  // as onnxruntime 1.31.1 has it
};

// Next to ties: dequantized operands, the two terms exchanged, products that are rounded before they are added (sums),
// or not rounded (products) give the neighbouring integer in one or more of the cases.
const std::vector<Tie> kTies = {
    {{BinaryOp::kAdd, {0.48F, 34, false}, {0.165F, 52, false}, {0.926F, 78, false}}, 13, 71, 70},
    {{BinaryOp::kAdd, {0.48F, 34, false}, {0.165F, 52, false}, {0.926F, 78, false}}, 20, 219, 101},
    {{BinaryOp::kAdd, {0.48F, 34, false}, {0.165F, 52, false}, {0.926F, 78, false}}, 2, 103, 71},
    {{BinaryOp::kAdd, {0.363F, -48, true}, {0.021F, 8, true}, {0.024F, -25, true}}, -61, 119, -124},
    {{BinaryOp::kAdd, {0.292F, 41, true}, {0.417F, -6, true}, {0.748F, -90, true}}, -104, 48, -117},
    {{BinaryOp::kAdd, {0.041F, -120, true}, {0.073F, -42, true}, {0.12F, 103, true}}, -128, -86, 74},
    {{BinaryOp::kMul, {0.23F, 98, false}, {0.024F, 24, false}, {0.52F, 63, false}}, 148, 219, 166},
    {{BinaryOp::kMul, {0.02F, 13, false}, {0.909F, 186, false}, {12.42F, 69, false}}, 243, 36, 18},
    {{BinaryOp::kMul, {0.124F, 90, true}, {0.36F, 65, true}, {0.48F, 25, true}}, -60, 75, -114},
    {{BinaryOp::kMul, {0.025F, -63, true}, {0.72F, -38, true}, {2.4F, -38, true}}, -123, -128, 2},
};

TEST(BinaryElements, RoundAsOnnxruntimeDoes) {
  for (size_t i = 0; i < kTies.size(); ++i) {
    const Tie& tie = kTies[i];
    const Byte a = ref::to_byte(tie.a);
    const Byte b = ref::to_byte(tie.b);
    Byte y = 0;
    binary_elements(tie.step, &a, OperandStep::kVector, &b, OperandStep::kVector, &y, 1);
    EXPECT_EQ(ref::to_integer(tie.step.y, y), tie.y) << i;
    EXPECT_EQ(ref::to_integer(tie.step.y, ref::binary_element(tie.step, a, b)), tie.y) << i;
  }
}

TEST(BinaryElements, EveryPairOfBytesEqualsThePlainFormula) {
  std::vector<Byte> all(256);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Byte>(i);
  std::vector<Byte> y(all.size());
  for (const Tie& tie : kTies) {
    for (const Byte& a : all) {
      binary_elements(tie.step, &a, OperandStep::kScalar, all.data(), OperandStep::kVector, y.data(), y.size());
      for (size_t i = 0; i < y.size(); ++i) ASSERT_EQ(y[i], ref::binary_element(tie.step, a, all[i]));
    }
  }
}

TEST(BinaryForm, IsTheDefinitionWhereRuntimesComputeInFloat) {
  const Affine8 u{0.1F, 0, false};
  const Affine8 s{0.1F, 0, true};
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = u, .b = u, .y = u}), BinaryForm::kSum);
  EXPECT_EQ(form_of({.op = BinaryOp::kMul, .a = s, .b = s, .y = s}), BinaryForm::kProduct);
  EXPECT_EQ(form_of({.op = BinaryOp::kSub, .a = u, .b = u, .y = u}), BinaryForm::kDefinition);
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = u, .b = s, .y = u}), BinaryForm::kDefinition);
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = u, .b = u, .y = s}), BinaryForm::kDefinition);
  // 0 is u's lowest number, 25.5 its highest.
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = u, .b = u, .y = u, .low = 0, .high = 26}), BinaryForm::kSum);
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = u, .b = u, .y = u, .low = 0, .high = 6}), BinaryForm::kDefinition);
  EXPECT_EQ(form_of({.op = BinaryOp::kAdd, .a = s, .b = s, .y = s, .low = 0}), BinaryForm::kDefinition);
}

TEST(RequantizeTable, ChangesSignAndScale) {
  // uint8 [scale 1, zero 128] into int8 [scale 2, zero 0]: 128 -> 0, 131 -> 1.5 -> 2, 255 -> 63.5 -> 64, 0 -> -64.
  const Table table = make_requantize_table({1.0F, 128, false}, {2.0F, 0, true});
  EXPECT_EQ(table[128], 0);
  EXPECT_EQ(table[131], 2);
  EXPECT_EQ(table[255], 64);
  EXPECT_EQ(static_cast<int8_t>(table[0]), -64);
}

TEST(DequantizeColumns, EqualsThePlainFormulaForEveryLength) {
  for (const bool is_signed : {false, true}) {
    for (size_t count = 0; count < 40; ++count) {
      const std::vector<Byte> q = random_bytes(count, 7);
      std::vector<float> scales(count);
      std::vector<float> zero_points(count);
      for (size_t i = 0; i < count; ++i) {
        scales[i] = 0.01F * static_cast<float>(i + 1);
        zero_points[i] = static_cast<float>(i) - 5;
      }
      std::vector<float> x(count);
      dequantize_columns({.scales = scales.data(), .zero_points = zero_points.data(), .is_signed = is_signed}, q.data(),
                         x.data(), count);
      for (size_t i = 0; i < count; ++i) {
        const Affine8 own{scales[i], static_cast<int32_t>(zero_points[i]), is_signed};
        ASSERT_EQ(x[i], ref::dequantize_element(own, q[i]));
      }
    }
  }
}

TEST(FloatTable, GivesTheEntryOfEachByteForEveryLength) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal(0, 1e3F);
  std::vector<float> values(256);
  for (float& value : values) value = normal(random);
  const FloatTable table(values);
  for (size_t count = 0; count < 200; ++count) {
    const std::vector<Byte> q = random_bytes(count, static_cast<unsigned>(count));
    std::vector<float> y(count);
    table.look_up(q.data(), y.data(), count);
    for (size_t i = 0; i < count; ++i) ASSERT_EQ(y[i], values[q[i]]) << i;
  }
}

}  // namespace
}  // namespace narrow::runtime
