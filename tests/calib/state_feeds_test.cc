// What a model hands from sample to sample, in feeds that are read in any order.
#include "calib/state_feeds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/float_program.h"
#include "tests/support/model_text.h"

namespace narrow::calib {
namespace {

constexpr int64_t kSize = 100;
constexpr int64_t kStateBytes = 4;

/// x of sample i is i + 1; counts what is read.
class Counting : public DataReader {
 public:
  explicit Counting(std::atomic<int64_t>& reads) : reads_(reads) {}

  int64_t size() const override { return kSize; }
  int64_t samples() const override { return kSize; }
  std::string source(int64_t index) const override { return fmt::format("'x{}'", index); }
  std::vector<std::filesystem::path> files() const override { return {}; }
  exec::Feed read(int64_t index) const override {
    ++reads_;
    return {{"x", Tensor::of<float>({1}, {static_cast<float>(index + 1)})}};
  }

 private:
  std::atomic<int64_t>& reads_;
};

class StateFeedsTest : public testing::Test {
 protected:
  static std::unique_ptr<DataReader> open(std::atomic<int64_t>& reads, int64_t most_bytes,
                                          const std::string& output = "sum") {
    const auto compile = [] {
      return exec::compile_float(test::graph_from_text(
          "g (float[1] x, float[1] h) => (float[1] y, float[1] sum) { sum = Add (x, h)  y = Neg (x) }"));
    };
    return with_states(std::make_unique<Counting>(reads), compile, {{.input = "h", .output = output}}, most_bytes);
  }

  /// Of a feed: 1 + 2 + ... + index.
  static void expect_sum(const exec::Feed& feed, int64_t index) {
    EXPECT_EQ(feed.at("x").data<float>()[0], static_cast<float>(index + 1));
    EXPECT_EQ(feed.at("h").data<float>()[0], static_cast<float>(index * (index + 1) / 2)) << index;
  }

  std::atomic<int64_t> reads_{0};
};

TEST_F(StateFeedsTest, AreWhatTheSamplesBeforeLeaveInWhateverOrderTheyAreRead) {
  const auto feeds = open(reads_, kSize * kStateBytes);
  for (const int64_t index : {40, 7, 99, 0, 1, 41, 98}) expect_sum(feeds->read(index), index);
  // Each sample before the last ran once; the seven feeds themselves are read besides.
  EXPECT_EQ(reads_, 99 + 7);
  EXPECT_EQ(feeds->size(), kSize);
  EXPECT_FALSE(feeds->read_stateless(5).contains("h"));
}

TEST_F(StateFeedsTest, ThatFindNoRoomAreComputedAgain) {
  const auto feeds = open(reads_, 5 * kStateBytes);
  expect_sum(feeds->read(99), 99);
  for (int pass = 0; pass < 2; ++pass) {
    const int64_t before = reads_;
    for (int64_t index = 0; index < kSize; ++index) expect_sum(feeds->read(index), index);
    EXPECT_LE(reads_ - before, 2 * kSize) << "a pass in order runs each sample once more at most";
  }
  // Five states of 100 samples: the nearest lies no more than 32 before.
  const int64_t before = reads_;
  for (int64_t index = kSize - 1; index >= 0; index -= 10) expect_sum(feeds->read(index), index);
  EXPECT_LE(reads_ - before, 10 * 32);
}

TEST_F(StateFeedsTest, WithoutAnyRoom) {
  const auto feeds = open(reads_, 0);
  for (const int64_t index : {99, 98, 3, 50}) expect_sum(feeds->read(index), index);
}

TEST_F(StateFeedsTest, ReadBySeveralThreads) {
  for (const int64_t room : {kSize * kStateBytes, 5 * kStateBytes}) {
    const auto feeds = open(reads_, room);
    std::vector<exec::Feed> read(kSize);
    run_workers(4, [&](int worker) {
      for (int64_t index = worker; index < kSize; index += 4) read[static_cast<size_t>(index)] = feeds->read(index);
    });
    for (int64_t index = 0; index < kSize; ++index) expect_sum(read[static_cast<size_t>(index)], index);
  }
}

TEST_F(StateFeedsTest, RefuseOutputsTheModelDoesNotHave) {
  const auto feeds = open(reads_, 0, "total");
  EXPECT_THROW(feeds->read(0), Error);
  EXPECT_THROW(feeds->read(0), Error) << "and again: no feed is without its state";
}

/// Sizes of the zeros that begin the state `h`, with a feed of `x` [2, 3].
Shape first_shape(const std::string& text, const InputOptions& options) {
  const graph::Model model = test::graph_from_text(text);
  const exec::Program program = exec::compile_float(model);
  const exec::State state(program, state_links(model.graph(), {{"h", options}}));
  const exec::Feed feed{{"x", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6})}};
  return state.complete(feed).at("h").shape();
}

TEST(FirstState, IsAsLargeAsTheDataSayAndAGrowingOneIsEmpty) {
  const InputOptions options{.from_output = "next"};
  EXPECT_EQ(first_shape("g (float[N,3] x, float[N,3] h) => (float[N,3] next) { next = Add (x, h) }", options),
            (Shape{2, 3}));
  const std::string grows = "g (float[N,3] x, float[P,3] h) => (float[Q,3] next) { next = Concat <axis = 0> (h, x) }";
  EXPECT_EQ(first_shape(grows, options), (Shape{0, 3}));
  EXPECT_EQ(first_shape("g (float[N,3] x, float[P,3] h) => (float[P,3] next) { next = Neg (h) }", options),
            (Shape{1, 3}));
  EXPECT_EQ(first_shape(grows, {.from_output = "next", .shape = std::vector<int64_t>{4, 3}}), (Shape{4, 3}));
  EXPECT_THROW(first_shape(grows, {.from_output = "next", .shape = std::vector<int64_t>{4, 2}}), Error);
  EXPECT_THROW(first_shape(grows, {.from_output = "next", .shape = std::vector<int64_t>{4}}), Error);
}

}  // namespace
}  // namespace narrow::calib
