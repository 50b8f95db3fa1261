// Operators that choose or move elements, and generators. Expected values by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "tests/exec/run_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

Tensor int64s(std::initializer_list<int64_t> values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

TEST(NonMaxSuppression, LowerScoreOfAnOverlappingPairGoes) {
  // The first two overlap by 0.9 / 1.1 of their area; the third is apart.
  const auto y = run_text(R"(g (float[1,3,4] b, float[1,1,3] s) => (int64[N,3] y)
      <int64 n = {5}, float iou = {0.5}> { y = NonMaxSuppression(b, s, n, iou) })",
                          {{"b", floats({1, 3, 4}, {0, 0, 1, 1, 0, 0.1F, 1, 1.1F, 5, 5, 6, 6})},
                           {"s", floats({1, 1, 3}, {0.5F, 0.9F, 0.3F})}},
                          11);
  EXPECT_EQ(y[0].shape(), (Shape{2, 3}));
  EXPECT_THAT(values_of<int64_t>(y[0]), ElementsAre(0, 0, 1, 0, 0, 2));
}

TEST(Unique, FirstIndicesInverseAndCounts) {
  const Feed feed{{"x", floats({5}, {2, 1, 1, 3, 2})}};
  const std::string head = "g (float[5] x) => (float[N] y, int64[N] i, int64[5] v, int64[N] c) { y, i, v, c = Unique";
  const auto sorted = run_text(head + "(x) }", feed);
  EXPECT_THAT(values_of<float>(sorted[0]), ElementsAre(1, 2, 3));
  EXPECT_THAT(values_of<int64_t>(sorted[1]), ElementsAre(1, 0, 3));
  EXPECT_THAT(values_of<int64_t>(sorted[2]), ElementsAre(1, 0, 0, 2, 1));
  EXPECT_THAT(values_of<int64_t>(sorted[3]), ElementsAre(2, 2, 1));
  const auto as_seen = run_text(head + " <sorted = 0> (x) }", feed);
  EXPECT_THAT(values_of<float>(as_seen[0]), ElementsAre(2, 1, 3));
  EXPECT_THAT(values_of<int64_t>(as_seen[2]), ElementsAre(0, 1, 1, 2, 0));
}

TEST(Unique, ColumnsAndStrings) {
  const auto columns = run_text("g (float[2,3] x) => (float[2,N] y) { y = Unique <axis = 1> (x) }",
                                {{"x", floats({2, 3}, {5, 1, 5, 6, 2, 6})}});
  EXPECT_THAT(values_of<float>(columns[0]), ElementsAre(1, 5, 2, 6));
  const auto words =
      run_text("g (string[3] x) => (string[N] y) { y = Unique(x) }", {{"x", Tensor::of_strings({3}, {"b", "a", "b"})}});
  EXPECT_THAT(words[0].strings(), ElementsAre("a", "b"));
}

TEST(Compress, AShortConditionDropsTheRest) {
  const Feed feed{{"x", floats({3, 2}, {1, 2, 3, 4, 5, 6})}, {"c", Tensor::of<bool>({2}, {false, true})}};
  EXPECT_THAT(values_of<float>(run_text(
                  "g (float[3,2] x, bool[2] c) => (float[N,2] y) { y = Compress <axis = 0> (x, c) }", feed)[0]),
              ElementsAre(3, 4));
  EXPECT_THAT(values_of<float>(run_text("g (float[3,2] x, bool[2] c) => (float[N] y) { y = Compress(x, c) }", feed)[0]),
              ElementsAre(2));
}

TEST(CumProd, ExclusiveAndReverse) {
  const Feed feed{{"x", floats({3}, {2, 3, 4})}};
  const auto run = [&](const std::string& attributes) {
    return values_of<float>(run_text(
        "g (float[3] x) => (float[3] y) <int64 a = {0}> { y = CumProd <" + attributes + "> (x, a) }", feed, 26)[0]);
  };
  EXPECT_THAT(run("exclusive = 0"), ElementsAre(2, 6, 24));
  EXPECT_THAT(run("exclusive = 1"), ElementsAre(1, 2, 6));
  EXPECT_THAT(run("exclusive = 1, reverse = 1"), ElementsAre(12, 4, 1));
}

TEST(TensorScatter, CircularWritesWrapAround) {
  const std::string graph =
      "g (float[1,3,1] p, float[1,2,1] u, int64[1] i) => (float[1,3,1] y) { y = TensorScatter <mode = \"";
  const Feed feed{{"p", floats({1, 3, 1}, {1, 2, 3})}, {"u", floats({1, 2, 1}, {8, 9})}, {"i", int64s({2})}};
  EXPECT_THAT(values_of<float>(run_text(graph + "circular\"> (p, u, i) }", feed, 24)[0]), ElementsAre(9, 2, 8));
  EXPECT_THROW(run_text(graph + "linear\"> (p, u, i) }", feed, 24), Error);
}

TEST(MaxUnpool, IndicesCountOverTheSmallerTensor) {
  const auto y = run_text(R"(g (float[1,1,2] x, int64[1,1,2] i) => (float[1,1,5] y) <int64[3] s = {1, 1, 5}>
      { y = MaxUnpool <kernel_shape = [2], strides = [2]> (x, i, s) })",
                          {{"x", floats({1, 1, 2}, {7, 8})}, {"i", Tensor::of<int64_t>({1, 1, 2}, {1, 2})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(0, 7, 8, 0, 0));
}

TEST(Det, PivotsChangeTheSign) {
  const auto y = run_text("g (float[2,2,2] x) => (float[2] y) { y = Det(x) }",
                          {{"x", floats({2, 2, 2}, {0, 2, 3, 4, 1, 2, 2, 4})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(-6, 0));
}

TEST(Dft, LengthsThatAreNoPowerOfTwo) {
  // exp(2 pi i n / 3): all in bin 1.
  const float half = -0.5F;
  const float root = 0.8660254F;
  const Feed feed{{"x", floats({1, 3, 2}, {1, 0, half, root, half, -root})}};
  const auto y = run_text("g (float[1,3,2] x) => (float[1,3,2] y) { y = DFT <axis = 1> (x) }", feed);
  EXPECT_THAT(values_of<float>(y[0]), Pointwise(FloatNear(1e-6F), {0.0F, 0.0F, 3.0F, 0.0F, 0.0F, 0.0F}));
}

TEST(Dft, OnesidedThereAndBack) {
  const Feed feed{{"x", floats({1, 5, 1}, {1, -2, 3, 0.5F, 4})}};
  const auto y = run_text(R"(g (float[1,5,1] x) => (float[1,3,2] f, float[1,5,1] y) <int64 n = {5}>
      { f = DFT <onesided = 1> (x)
        y = DFT <onesided = 1, inverse = 1> (f, n) })",
                          feed, 20);
  EXPECT_FLOAT_EQ(values_of<float>(y[0])[0], 6.5F);
  EXPECT_THAT(values_of<float>(y[1]), Pointwise(FloatNear(1e-6F), {1.0F, -2.0F, 3.0F, 0.5F, 4.0F}));
}

// numpy.random.seed(7): rand() is 0.07630829, 0.77991879, 0.43840923; RandomState(7).randn() is 1.69052570,
// -0.46593737.
TEST(Random, SeedsGiveTheNumbersOfNumpy) {
  const auto uniform =
      run_text("g () => (float[3] y) { y = RandomUniform <shape = [3], seed = 7.0, low = 1.0, high = 3.0> () }", {});
  EXPECT_THAT(values_of<float>(uniform[0]), Pointwise(FloatNear(1e-6F), {1.15261658F, 2.55983758F, 1.87681846F}));
  const auto normal = run_text("g () => (float[2] y) { y = RandomNormal <shape = [2], seed = 7.0> () }", {});
  EXPECT_THAT(values_of<float>(normal[0]), Pointwise(FloatNear(1e-6F), {1.69052570F, -0.46593737F}));
}

TEST(Random, WithoutASeedIsRefused) {
  try {
    run_text("g () => (float[3] y) { y = RandomUniform <shape = [3]> () }", {});
    FAIL() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("random"));
  }
  const std::string dropout = "g (float[2] x, bool t) => (float[2] y) <float r = {0.5}> { y = Dropout(x, r, t) }";
  const Feed idle{{"x", floats({2}, {1, 2})}, {"t", Tensor::scalar(false)}};
  EXPECT_THAT(values_of<float>(run_text(dropout, idle)[0]), ElementsAre(1, 2));
  const Feed training{{"x", floats({2}, {1, 2})}, {"t", Tensor::scalar(true)}};
  EXPECT_THROW(run_text(dropout, training), Error);
}

TEST(Multinomial, AlmostCertainClasses) {
  const auto y = run_text("g (float[2,3] x) => (int32[2,4] y) { y = Multinomial <sample_size = 4, seed = 1.0> (x) }",
                          {{"x", floats({2, 3}, {-50, 50, -50, -50, -50, 50})}});
  EXPECT_THAT(values_of<int32_t>(y[0]), ElementsAre(1, 1, 1, 1, 2, 2, 2, 2));
}

TEST(Einsum, BroadcastsRepeatsAndSums) {
  // The ellipsis of the second operand is 1 and broadcasts; onnxruntime's shape inference refuses this.
  const auto y = run_text(
      "g (float[2,1,2] a, float[1,2,1] b) => (float[2,1,1] y) { y = Einsum <equation = \"...ij, ...jk -> ...ik\"> (a, "
      "b) }",
      {{"a", floats({2, 1, 2}, {1, 2, 3, 4})}, {"b", floats({1, 2, 1}, {10, 100})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(210, 430));
  const Feed square{{"x", Tensor::of<int32_t>({2, 2}, {1, 2, 3, 4})}};
  EXPECT_THAT(values_of<int32_t>(
                  run_text("g (int32[2,2] x) => (int32[N] y) { y = Einsum <equation = \"ii->i\"> (x) }", square)[0]),
              ElementsAre(1, 4));
  for (const std::string bad : {"ij->ik", "ij->ii", "i1", "ijk"}) {
    EXPECT_THROW(run_text("g (int32[2,2] x) => (int32[N] y) { y = Einsum <equation = \"" + bad + "\"> (x) }", square),
                 Error)
        << bad;
  }
}

TEST(GridSample, OldNamesAndReflection) {
  const Feed feed{{"x", floats({1, 1, 1, 3}, {1, 2, 3})}, {"g", floats({1, 1, 2, 2}, {-1.5F, 0, 0.5F, 0})}};
  // align_corners: x = (g + 1) / 2 * 2 = -0.5 and 1.5; -0.5 reflects to 0.5.
  const auto y = run_text(R"(g (float[1,1,1,3] x, float[1,1,2,2] g) => (float[1,1,1,2] y)
      { y = GridSample <mode = "bilinear", padding_mode = "reflection", align_corners = 1> (x, g) })",
                          feed, 16);
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(1.5F, 2.5F));
}

TEST(BatchNormalization, TrainingUsesTheBatch) {
  const auto y = run_text(R"(g (float[2,1] x) => (float[2,1] y, float[1] m, float[1] v)
      <float[1] one = {1}, float[1] zero = {0}>
      { y, m, v = BatchNormalization <training_mode = 1, epsilon = 0.0, momentum = 0.5> (x, one, zero, zero, one) })",
                          {{"x", floats({2, 1}, {1, 5})}});
  EXPECT_THAT(values_of<float>(y[0]), ElementsAre(-1, 1));
  EXPECT_THAT(values_of<float>(y[1]), ElementsAre(1.5F));
  EXPECT_THAT(values_of<float>(y[2]), ElementsAre(2.5F));
}

}  // namespace
}  // namespace narrow::exec
