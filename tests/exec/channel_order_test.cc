// Nodes that only move channels become one step for each result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "tests/exec/run_model.h"
#include "tests/support/shaped_model.h"

namespace narrow::exec {
namespace {

using ::testing::ElementsAreArray;

struct Form {
  const char* name;
  const char* graph;
  Shape input;
  size_t steps;    // of the fused program
  size_t unfused;  // steps without fusion
};

std::ostream& operator<<(std::ostream& stream, const Form& form) {
  return stream << form.name;
}

// ShuffleNet V2 as PyTorch exports it: every other channel.
constexpr char kHalves[] = R"(g (float[1,6,2,3] x) => (float[1,3,2,3] y, float[1,3,2,3] z)
  <int64[3] pairs = {3, 2, 6}, int64[5] apart = {2, -1, 3, 2, 3}, int64 zero = {0}, int64 one = {-1}>
  { p = Reshape(x, pairs)
    t = Transpose <perm = [1, 0, 2]> (p)
    h = Reshape(t, apart)
    y = Gather(h, zero)
    z = Gather <axis = -5> (h, one) })";

// ShuffleNet: groups become the inner index; any number of samples.
constexpr char kShuffle[] = R"(g (float[N,6,2,2] x) => (float[N,6,2,2] y)
  <int64[5] groups = {-1, 3, 2, 2, 2}, int64[4] back = {-1, 6, 2, 2}>
  { p = Reshape(x, groups)
    t = Transpose <perm = [0, 2, 1, 3, 4]> (p)
    y = Reshape(t, back) })";

// Between convolutions, which want channels last.
constexpr char kBetween[] = R"(g (float[2,4,3,3] x) => (float[2,2,3,3] y)
  <int64[5] groups = {2, 2, 2, 3, 3}, int64[4] back = {2, 4, 3, 3}, float[4,4,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9,
   10, 11, 12, 13, 14, 15, 16}, float[2,4,1,1] v = {1, 0, 2, 0, 0, 3, 0, 4}>
  { c = Conv(x, w)
    p = Reshape(c, groups)
    t = Transpose <perm = [0, 2, 1, 3, 4]> (p)
    s = Reshape(t, back)
    y = Conv(s, v) })";

constexpr char kHalvesBetween[] = R"(g (float[1,4,3,3] x) => (float[1,2,3,3] y, float[1,2,3,3] z)
  <int64[3] pairs = {2, 2, 9}, int64[5] apart = {2, 1, 2, 3, 3}, int64 zero = {0}, int64 one = {1},
   float[4,4,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, float[2,2,1,1] v = {1, 2, 3, -4}>
  { c = Conv(x, w)
    p = Reshape(c, pairs)
    t = Transpose <perm = [1, 0, 2]> (p)
    h = Reshape(t, apart)
    a = Gather(h, zero)
    b = Gather(h, one)
    y = Conv(a, v)
    z = Conv(b, v) })";

// Pixels move, too.
constexpr char kPixels[] = R"(g (float[1,4,2,2] x) => (float[1,1,4,4] y)
  <int64[6] blocks = {1, 1, 2, 2, 2, 2}, int64[4] image = {1, 1, 4, 4}>
  { p = Reshape(x, blocks)
    t = Transpose <perm = [0, 1, 4, 2, 5, 3]> (p)
    y = Reshape(t, image) })";

constexpr char kTurnsImages[] = R"(g (float[1,4,2,2] x) => (float[1,4,2,2] y)
  <int64[5] groups = {1, 2, 2, 2, 2}, int64[4] back = {1, 4, 2, 2}>
  { p = Reshape(x, groups)
    t = Transpose <perm = [0, 2, 1, 4, 3]> (p)
    y = Reshape(t, back) })";

constexpr char kMixesSamples[] = R"(g (float[2,4,2,2] x) => (float[2,4,2,2] y)
  <int64[3] pairs = {4, 2, 4}, int64[4] back = {2, 4, 2, 2}>
  { p = Reshape(x, pairs)
    t = Transpose <perm = [1, 0, 2]> (p)
    y = Reshape(t, back) })";

constexpr char kMiddleIsRead[] = R"(g (float[1,4,2,2] x) => (float[1,4,2,2] y, float[2,2,4] t)
  <int64[3] pairs = {2, 2, 4}, int64[4] back = {1, 4, 2, 2}>
  { p = Reshape(x, pairs)
    t = Transpose <perm = [1, 0, 2]> (p)
    y = Reshape(t, back) })";

constexpr char kOneReaderTakesAll[] = R"(g (float[1,4,2,2] x) => (float[1,2,2,2] y, float[2,1,2,2,2] z)
  <int64[3] pairs = {2, 2, 4}, int64[5] apart = {2, 1, 2, 2, 2}, int64 zero = {0}>
  { p = Reshape(x, pairs)
    t = Transpose <perm = [1, 0, 2]> (p)
    h = Reshape(t, apart)
    y = Gather(h, zero)
    z = Neg(h) })";

const Form kForms[] = {
    {"Halves", kHalves, {1, 6, 2, 3}, 2, 5},
    {"Shuffle", kShuffle, {3, 6, 2, 2}, 1, 3},
    {"Between", kBetween, {2, 4, 3, 3}, 3, 5},
    {"HalvesBetween", kHalvesBetween, {1, 4, 3, 3}, 5, 8},
    {"Pixels", kPixels, {1, 4, 2, 2}, 3, 3},
    {"TurnsImages", kTurnsImages, {1, 4, 2, 2}, 3, 3},
    {"MixesSamples", kMixesSamples, {2, 4, 2, 2}, 3, 3},
    {"MiddleIsRead", kMiddleIsRead, {1, 4, 2, 2}, 3, 3},
    {"OneReaderTakesAll", kOneReaderTakesAll, {1, 4, 2, 2}, 5, 5},
};

class ChannelOrderForm : public ::testing::TestWithParam<Form> {};

TEST_P(ChannelOrderForm, MovesWhatTheNodesDo) {
  const graph::Model model = test::shaped_graph(GetParam().graph);
  const Program fused = compile_float(model);
  const Program apart = compile_float(model, {.observed = {}, .fuse = false});
  EXPECT_EQ(fused.steps().size(), GetParam().steps);
  EXPECT_EQ(apart.steps().size(), GetParam().unfused);
  const Feed feed{{"x", pseudo_random(GetParam().input, 5)}};
  Workspace workspace;
  const auto results = fused.run(feed, workspace);
  const auto expected = apart.run(feed, workspace);
  ASSERT_EQ(results.size(), expected.size());
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(results[i].shape(), expected[i].shape());
    EXPECT_THAT(values_of<float>(results[i]), ElementsAreArray(values_of<float>(expected[i])));
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, ChannelOrderForm, ::testing::ValuesIn(kForms),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ChannelOrder, EveryOtherChannel) {
  Workspace workspace;
  std::vector<float> x(36);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i / 6);  // each channel holds its number
  const auto results = compile_float(test::shaped_graph(kHalves))
                           .run({{"x", Tensor::of<float>({1, 6, 2, 3}, std::span<const float>(x))}}, workspace);
  for (size_t i = 0; i < 18; ++i) {
    EXPECT_EQ(results[0].data<float>()[i], static_cast<float>(i / 6 * 2));
    EXPECT_EQ(results[1].data<float>()[i], static_cast<float>(i / 6 * 2 + 1));
  }
}

TEST(ChannelOrder, AHalfThatNobodyReadsIsNotMade) {
  const Program program = compile_float(test::shaped_graph(R"(g (float[1,4,2,2] x) => (float[1,2,2,2] y)
    <int64[3] pairs = {2, 2, 4}, int64[5] apart = {2, 1, 2, 2, 2}, int64 zero = {0}, int64 one = {1}>
    { p = Reshape(x, pairs)
      t = Transpose <perm = [1, 0, 2]> (p)
      h = Reshape(t, apart)
      y = Gather(h, zero)
      z = Gather(h, one) })"));
  EXPECT_EQ(program.steps().size(), 1U);
}

}  // namespace
}  // namespace narrow::exec
