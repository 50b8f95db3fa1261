// Element types beyond float32: expected values by hand, or from onnxruntime and the ONNX reference where said.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lib/base/error.h"
#include "lib/exec/kernels/cast.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;

Tensor cast(const Tensor& tensor, DataType type) {
  Workspace workspace;
  return cast_tensor(tensor, type, workspace);
}

Tensor halves(Shape shape, std::initializer_list<float> values) {
  return cast(floats(std::move(shape), values), DataType::kFloat16);
}

Tensor int4s(Shape shape, std::initializer_list<int8_t> values) {
  return cast(Tensor::of<int8_t>(std::move(shape), values), DataType::kInt4);
}

std::vector<float> reals(const Tensor& tensor) {
  return values_of<float>(to_float32(tensor));
}

TEST(Types, HalvesRoundAfterEveryOperator) {
  // 1 + 2^-11 is 1 in float16; without rounding between them the sums would give 1 + 2^-10.
  const Feed feed{{"x", halves({1}, {1})}, {"y", halves({1}, {0x1p-11F})}};
  const auto results = run_text(R"(g (float16[1] x, float16[1] y) => (float16[1] b)
      { a = Add(x, y) b = Add(a, y) })",
                                feed);
  EXPECT_EQ(results[0].type(), DataType::kFloat16);
  EXPECT_THAT(reals(results[0]), ElementsAre(1));
}

TEST(Types, ConvolutionWithConstantWeightsOfEitherShortFloat) {
  for (const auto& [name, type] :
       {std::pair{"float16", DataType::kFloat16}, std::pair{"bfloat16", DataType::kBfloat16}}) {
    const Feed feed{{"x", cast(floats({1, 1, 2, 2}, {1, 2, 3, 4}), type)}};
    const std::string text = fmt::format(R"(g ({0}[1,1,2,2] x) => ({0}[1,1,1,1] z)
        <float[1,1,2,2] w32 = {{1, 10, 100, 1000}}, float[1] b32 = {{0.5}}>
        {{ w = CastLike(w32, x) b = Cast <to = {1}> (b32) y = Conv(x, w, b) z = Relu(y) }})",
                                         name, static_cast<int>(type));
    const auto results = run_text(text, feed, 22);
    EXPECT_EQ(results[0].type(), type);
    // Of 4321.5: float16 has steps of 4 there, bfloat16 of 32.
    EXPECT_THAT(reals(results[0]), ElementsAre(4320));
  }
}

TEST(Types, ComparisonsOfHalvesAreOfValuesNotBits) {
  const Feed feed{{"x", halves({3}, {0.0F, NAN, 2})}, {"y", halves({3}, {-0.0F, NAN, 2})}};
  const auto results = run_text("g (float16[3] x, float16[3] y) => (bool[3] z) { z = Equal(x, y) }", feed);
  EXPECT_THAT(values_of<bool>(results[0]), ElementsAre(true, false, true));
}

TEST(Types, DoublesKeepTheirDigits) {
  const Tensor x = Tensor::of<double>({1, 2}, {1.0, 0x1p-40});
  const Tensor w = Tensor::of<double>({2, 1}, {1.0, 1.0});
  const auto results = run_text(R"(g (double[1,2] x, double[2,1] w) => (double[1,1] y, double[1,1] z)
      { y = MatMul(x, w) z = Gemm(x, w) })",
                                {{"x", x}, {"w", w}});
  EXPECT_EQ(values_of<double>(results[0])[0], 1.0 + 0x1p-40);
  EXPECT_EQ(values_of<double>(results[1])[0], 1.0 + 0x1p-40);
}

TEST(Types, StringsMove) {
  const Feed feed{{"x", Tensor::of_strings({2, 2}, {"b", "a", "", "c"})},
                  {"y", Tensor::of_strings({2, 2}, {"b", "z", "", "a"})}};
  const auto results = run_text(R"(g (string[2,2] x, string[2,2] y)
      => (bool[2,2] same, string[2,2] chosen, string[2,2] turned, string[1,2] row, string[N,2] cut, string[3,2] padded)
      <int64[1] one = {1}, int64[1] two = {2}, int64[1] zero = {0}, int64[4] pads = {1, 0, 0, 0}> {
        same = Equal(x, y)
        chosen = Where(same, x, y)
        turned = Transpose(x)
        row = Gather(x, one)
        cut = Slice(x, one, two, zero)
        padded = Pad(x, pads)
      })",
                                feed, 19);
  EXPECT_THAT(values_of<bool>(results[0]), ElementsAre(true, false, true, false));
  EXPECT_THAT(results[1].strings(), ElementsAre("b", "z", "", "a"));
  EXPECT_THAT(results[2].strings(), ElementsAre("b", "", "a", "c"));
  EXPECT_THAT(results[3].strings(), ElementsAre("", "c"));
  EXPECT_THAT(results[4].strings(), ElementsAre("", "c"));
  EXPECT_THAT(results[5].strings(), ElementsAre("", "", "b", "a", "", "c"));
}

TEST(Types, ConstantStringsMoveWithOthers) {
  const Feed feed{{"x", Tensor::of_strings({2}, {"m", "a"})}};
  const auto results = run_text(R"(g (string[2] x) => (string[4] y, bool[2] z) {
        c = Constant <value_strings = ["z", "a"]> ()
        y = Concat <axis = 0> (x, c)
        z = Equal(x, c)
      })",
                                feed, 19);
  EXPECT_THAT(results[0].strings(), ElementsAre("m", "a", "z", "a"));
  EXPECT_THAT(values_of<bool>(results[1]), ElementsAre(false, true));
}

TEST(Types, PackedElementsMove) {
  const Feed feed{{"x", int4s({3, 3}, {1, -2, 3, -4, 5, -6, 7, -8, 0})}};
  const auto results = run_text(R"(g (int4[3,3] x) => (int4[3,3] t, int4[1,3] row, int8[3,3] wide, int4[3,6] twice)
      <int64[1] one = {1}> {
        t = Transpose(x)
        row = Gather(x, one)
        wide = Cast <to = 3> (t)
        twice = Concat <axis = 1> (x, x)
      })",
                                feed, 21);
  EXPECT_EQ(results[0].type(), DataType::kInt4);
  EXPECT_EQ(results[0].byte_size(), 5U);
  EXPECT_THAT(reals(results[0]), ElementsAre(1, -4, 7, -2, 5, -8, 3, -6, 0));
  EXPECT_THAT(reals(results[1]), ElementsAre(-4, 5, -6));
  EXPECT_THAT(values_of<int8_t>(results[2]), ElementsAre(1, -4, 7, -2, 5, -8, 3, -6, 0));
  EXPECT_THAT(reals(results[3]), ElementsAre(1, -2, 3, 1, -2, 3, -4, 5, -6, -4, 5, -6, 7, -8, 0, 7, -8, 0));
}

// The texts that onnxruntime writes.
TEST(Types, NumbersBecomeTextAndBack) {
  const Tensor text = cast(floats({7}, {0.1F, 1, 123456792, 1e20F, NAN, INFINITY, -INFINITY}), DataType::kString);
  EXPECT_THAT(text.strings(), ElementsAre("0.1", "1", "1.2345679e+08", "1e+20", "NaN", "INF", "-INF"));
  EXPECT_THAT(cast(halves({1}, {0.1F}), DataType::kString).strings(), ElementsAre("0.099975586"));
  EXPECT_THAT(cast(int4s({2}, {-8, 7}), DataType::kString).strings(), ElementsAre("-8", "7"));
  EXPECT_THAT(cast(Tensor::of<bool>({2}, {true, false}), DataType::kString).strings(), ElementsAre("1", "0"));
  const Tensor numbers = Tensor::of_strings({5}, {"3.14", "+1e-5", " INF", "-inf", "1e400"});
  EXPECT_THAT(reals(cast(numbers, DataType::kFloat32)), ElementsAre(3.14F, 1e-5F, INFINITY, -INFINITY, INFINITY));
  EXPECT_TRUE(std::isnan(reals(cast(Tensor::of_strings({1}, {"NaN"}), DataType::kFloat16))[0]));
  const Tensor integers = Tensor::of_strings({3}, {"9223372036854775807", "-5", "100.5"});
  EXPECT_THAT(values_of<int64_t>(cast(integers, DataType::kInt64)),
              ElementsAre(std::numeric_limits<int64_t>::max(), -5, 100));
  EXPECT_THROW(cast(Tensor::of_strings({1}, {"Hello"}), DataType::kFloat32), Error);
  EXPECT_THROW(cast(Tensor::of_strings({1}, {""}), DataType::kInt32), Error);
}

TEST(Types, CastTakesSaturationAndRoundingFromTheNode) {
  const Feed feed{{"x", floats({3}, {1e6F, 1.5F, 3.0F})}};
  const auto results =
      run_text(R"(g (float[3] x) => (float8e4m3fn[3] a, float8e4m3fn[3] b, float8e8m0[3] c, float8e8m0[3] d)
      { a = Cast <to = 17> (x) b = Cast <to = 17, saturate = 0> (x)
        c = Cast <to = 24, round_mode = "down"> (x) d = Cast <to = 24> (x) })",
               feed, 24);
  EXPECT_THAT(reals(results[0]), ElementsAre(448, 1.5F, 3));
  EXPECT_TRUE(std::isnan(reals(results[1])[0]));
  EXPECT_THAT(reals(results[2]), ElementsAre(524288, 1, 2));
  EXPECT_THAT(reals(results[3]), ElementsAre(1048576, 2, 4));
}

TEST(Types, BitCastKeepsTheBits) {
  const auto results =
      run_text("g (float[2] x) => (int32[2] y) { y = BitCast <to = 6> (x) }", {{"x", floats({2}, {1.0F, -0.0F})}}, 26);
  EXPECT_THAT(values_of<int32_t>(results[0]), ElementsAre(0x3F800000, std::numeric_limits<int32_t>::lowest()));
  EXPECT_THROW(run_text("g (float[1] x) => (int8[1] y) { y = BitCast <to = 3> (x) }", {{"x", floats({1}, {1})}}, 26),
               Error);
}

}  // namespace
}  // namespace narrow::exec
