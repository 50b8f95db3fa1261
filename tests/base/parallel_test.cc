#include "lib/base/parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace narrow {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

class ParallelTest : public ::testing::Test {
 protected:
  void SetUp() override { set_thread_count(4); }
  void TearDown() override { set_thread_count(available_processors()); }
};

TEST_F(ParallelTest, EveryIndexIsVisitedOnce) {
  std::vector<int> visits(1001, 0);
  parallel_for(1001, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
  });
  EXPECT_THAT(visits, Each(1));
}

TEST_F(ParallelTest, ResultsAreSeenByTheCaller) {
  std::vector<int64_t> squares(64, -1);
  for (int round = 0; round < 20; ++round) {
    parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) squares[static_cast<size_t>(i)] = i * i + round;
    });
    // 0^2 + ... + 63^2 = 63 * 64 * 127 / 6
    EXPECT_EQ(std::accumulate(squares.begin(), squares.end(), int64_t{0}), 85344 + 64 * round);
  }
}

TEST_F(ParallelTest, GrainBoundsTheNumberOfPieces) {
  std::atomic<int> pieces = 0;
  parallel_for(10, 5, [&](int64_t begin, int64_t end) {
    EXPECT_EQ(end - begin, 5);
    ++pieces;
  });
  EXPECT_EQ(pieces, 2);
}

TEST_F(ParallelTest, NothingToDoCallsNothing) {
  parallel_for(0, 1, [](int64_t, int64_t) { FAIL(); });
}

TEST_F(ParallelTest, ExceptionOfAPieceReachesTheCaller) {
  std::atomic<int64_t> done = 0;
  const auto run = [&] {
    parallel_for(4, 1, [&](int64_t begin, int64_t end) {
      if (begin == 2) throw std::runtime_error("third piece");
      done += end - begin;
    });
  };
  EXPECT_THROW(run(), std::runtime_error);
  EXPECT_EQ(done, 3);
}

TEST_F(ParallelTest, WorkersRunOnOneThreadEach) {
  std::vector<int> counts(3, 0);
  run_workers(3, [&](int worker) { counts[static_cast<size_t>(worker)] = thread_count(); });
  EXPECT_THAT(counts, ElementsAre(1, 1, 1));
  EXPECT_EQ(thread_count(), 4);
}

TEST_F(ParallelTest, LowestFailedWorkerIsReported) {
  const auto run = [] {
    run_workers(3, [](int worker) {
      if (worker > 0) throw std::runtime_error(worker == 1 ? "one" : "two");
    });
  };
  EXPECT_THAT(run, ::testing::ThrowsMessage<std::runtime_error>("one"));
}

}  // namespace
}  // namespace narrow
