// Operators of com.microsoft and the composition they are made by. Expected values by hand; the rest against
// onnxruntime in tests/peers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;

std::vector<Tensor> run_contrib(const std::string& graph, const Feed& feed) {
  Workspace workspace;
  const std::string header = "<ir_version: 9, opset_import: [\"\": 17, \"com.microsoft\": 1]> ";
  return compile_float(test::model_from_text(header + graph)).run(feed, workspace);
}

TEST(QLinear, AddRescalesAndSaturates) {
  const auto y =
      run_contrib(R"(g (uint8[3] a, uint8[3] b) => (uint8[3] y)
      <float s = {0.5}, float t = {0.25}, uint8 z = {128}, uint8 o = {0}>
      { y = com.microsoft.QLinearAdd (a, s, z, b, t, o, s, o) })",
                  {{"a", Tensor::of<uint8_t>({3}, {130, 128, 255})}, {"b", Tensor::of<uint8_t>({3}, {4, 2, 255})}});
  // 1 + 1 = 2, 0 + 0.5 = 0.5, 63.5 + 63.75 = 127.25 -> 254.5, half to even.
  EXPECT_THAT(values_of<uint8_t>(y[0]), ElementsAre(4, 1, 254));
}

TEST(Composition, AConstantSeenByTwoStepsIsThereForBoth) {
  // The bias is both the constant operand of an Add and, as the step's constant, left out of its inputs.
  const auto y = run_contrib(R"(g (float[1,2,2] x) => (float[1,2,2] y)
      <float[1,2,2] k = {1, 1, 1, 1}, float[2] one = {1, 1}>
      { y = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 0.0> (x, k, one, one) })",
                             {{"x", floats({1, 2, 2}, {1, 1, -1, -1})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, 1, 1, 1));
}

TEST(SkipNormalization, DeviationsAreThoseOfTheSum) {
  const Feed feed{{"x", floats({1, 1, 2}, {1, 3})}};
  const auto plain = run_contrib(R"(g (float[1,1,2] x) => (float[1,1,2] y, float[1,1,1] mean, float[1,1,1] inverse)
      <float[2] one = {1, 1}>
      { y, mean, inverse = com.microsoft.SkipLayerNormalization <epsilon = 0.0> (x, x, one) })",
                                 feed);
  // The sum is 2, 6: mean 4, deviation 2.
  EXPECT_THAT(values_of<float>(plain[1]), ElementsAre(4));
  EXPECT_THAT(values_of<float>(plain[2]), ElementsAre(0.5F));
  const auto simple = run_contrib(R"(g (float[1,1,2] x) => (float[1,1,2] y, float[1,1,1] inverse, float[1,1,2] sum)
      <float[2] one = {1, 1}>
      { y, , inverse, sum = com.microsoft.SkipSimplifiedLayerNormalization <epsilon = 5.0> (x, x, one) })",
                                  feed);
  // Squares 4 and 36, with epsilon 25 on average.
  EXPECT_THAT(values_of<float>(simple[1]), ElementsAre(0.2F));
  EXPECT_THAT(values_of<float>(simple[2]), ElementsAre(2, 6));
  EXPECT_THROW(run_contrib(R"(g (float[1,1,2] x) => (float[1,1,2] y, float[1,1,1] mean) <float[2] one = {1, 1}>
      { y, mean = com.microsoft.SkipSimplifiedLayerNormalization (x, x, one) })",
                           feed),
               Error);
}

TEST(SimplifiedNormalization, SecondOutputIsTheInverseRootMeanSquare) {
  const auto y = run_contrib(R"(g (float[2,2] x) => (float[2,2] y, float[2,1] inverse) <float[2] one = {1, 1}>
      { y, inverse = SimplifiedLayerNormalization <epsilon = 0.0> (x, one) })",
                             {{"x", floats({2, 2}, {2, -2, 4, 4})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1, -1, 1, 1));
  EXPECT_THAT(values_of<float>(y[1]), ElementsAre(0.5F, 0.25F));
}

TEST(MatMulNBits, CodesFromTheLowBitsUp) {
  // K = 8 in one block: codes 8 (zero) but for the first two, 9 and 10, at scale 0.5.
  const auto y = run_contrib(R"(g (float[1,8] x) => (float[1,1] y)
      <uint8[1,1,4] b = {169, 136, 136, 136}, float[1] s = {0.5}>
      { y = com.microsoft.MatMulNBits <K = 8, N = 1, bits = 4, block_size = 8> (x, b, s) })",
                             {{"x", floats({1, 8}, {1, 10, 1, 1, 1, 1, 1, 1})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(10.5F));
}

TEST(Attention, OneKeyIsTakenWhole) {
  const auto y = run_contrib(R"(g (float[1,2,2] q, float[1,1,2] k) => (float[1,2,2] y)
      { y = com.microsoft.MultiHeadAttention <num_heads = 2> (q, k, k) })",
                             {{"q", floats({1, 2, 2}, {1, 2, 3, 4})}, {"k", floats({1, 1, 2}, {5, 6})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(5, 6, 5, 6));
}

TEST(Inverse, SingularMatricesAreAnError) {
  const std::string graph = "g (float[2,2] x) => (float[2,2] y) { y = com.microsoft.Inverse (x) }";
  EXPECT_THAT(values_of<float>(run_contrib(graph, {{"x", floats({2, 2}, {0, 2, 4, 0})}})[0]),
              ElementsAre(0, 0.25F, 0.5F, 0));
  EXPECT_THROW(run_contrib(graph, {{"x", floats({2, 2}, {1, 2, 2, 4})}}), Error);
}

// What the model gives is told as a bad model with the node, as it runs and as it is folded.
TEST(DynamicQuantizeMatMul, OperandsOfAnotherTypeAreRefusedByName) {
  const std::string node = "{ [culprit] y = com.microsoft.DynamicQuantizeMatMul (x, w, s) }";
  const std::string weights = "<int8[2,1] w = {1, 2}, float s = {0.5}>";
  const std::string folded =
      "g (float[1] unused) => (float[1,1] y) <int64[1,2] x = {1, 2}, int8[2,1] w = {1, 2}, float s = {0.5}> ";
  const Feed given{{"x", Tensor::of<int64_t>({1, 2}, {1, 2})}};
  const Feed other{{"unused", floats({1}, {0})}};
  for (const auto& [graph, feed] :
       {std::pair("g (int64[1,2] x) => (float[1,1] y) " + weights + node, given), std::pair(folded + node, other)}) {
    try {
      run_contrib(graph, feed);
      ADD_FAILURE() << graph;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel);
      EXPECT_THAT(error.what(), ::testing::AllOf(::testing::HasSubstr("culprit"), ::testing::HasSubstr("int64")));
    }
  }
}

}  // namespace
}  // namespace narrow::exec
