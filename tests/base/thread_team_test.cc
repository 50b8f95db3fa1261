// Threads that run together, and the functions of OpenMP that oneDNN calls for them.
#include "lib/base/thread_team.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "lib/base/parallel.h"

// NOLINTBEGIN(readability-identifier-naming): the names are libgomp's
extern "C" {
void GOMP_parallel_start(void (*function)(void*), void* data, unsigned threads);
void GOMP_parallel_end();
void GOMP_barrier();
bool GOMP_loop_static_start(long start, long end, long step, long chunk, long* first, long* last);
bool GOMP_loop_static_next(long* first, long* last);
int omp_get_max_threads();
int omp_get_num_threads();
int omp_get_thread_num();
int omp_in_parallel();
}
// NOLINTEND(readability-identifier-naming)

namespace narrow {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

/// As compiled code does it: `body` on each of `threads`.
template <class Body>
void parallel(unsigned threads, Body body) {
  const auto call = [](void* data) { (*static_cast<Body*>(data))(); };
  GOMP_parallel_start(call, &body, threads);
  call(&body);
  GOMP_parallel_end();
}

class TeamTest : public ::testing::Test {
 protected:
  void SetUp() override { set_thread_count(3); }
  void TearDown() override { set_thread_count(available_processors()); }
};

TEST_F(TeamTest, EachThreadHasANumberOfItsOwn) {
  for (const unsigned size : {4U, 2U, 1U, 3U, 5U}) {
    std::vector<int> calls(size, 0);
    parallel(size, [&] {
      EXPECT_EQ(omp_get_num_threads(), static_cast<int>(size));
      EXPECT_EQ(omp_in_parallel(), size > 1 ? 1 : 0);
      EXPECT_EQ(omp_get_max_threads(), 3);
      ++calls.at(static_cast<size_t>(omp_get_thread_num()));
    });
    EXPECT_THAT(calls, Each(1));
    EXPECT_EQ(omp_get_num_threads(), 1);
    EXPECT_EQ(omp_in_parallel(), 0);
  }
}

TEST_F(TeamTest, NoNumberMeansAsManyAsAreSet) {
  std::atomic<int> calls = 0;
  parallel(0, [&] { ++calls; });
  EXPECT_EQ(calls, 3);
}

TEST_F(TeamTest, WithinATeamAnotherIsOfOneThread) {
  std::atomic<int> inner = 0;
  parallel(3, [&] {
    const int own = omp_get_thread_num();
    parallel(4, [&] {
      EXPECT_EQ(omp_get_num_threads(), 1);
      EXPECT_EQ(omp_get_thread_num(), 0);
      EXPECT_EQ(omp_in_parallel(), 1);
      ++inner;
    });
    parallel_for(8, 1, [&](int64_t begin, int64_t end) { inner += static_cast<int>(end - begin); });
    EXPECT_EQ(omp_get_thread_num(), own);
    EXPECT_EQ(omp_get_num_threads(), 3);
  });
  EXPECT_EQ(inner, 3 + 3 * 8);
}

TEST_F(TeamTest, NobodyPassesABarrierBeforeTheLastHasCome) {
  constexpr int kRounds = 200;
  std::array<std::atomic<int>, kRounds> come{};
  parallel(3, [&] {
    for (std::atomic<int>& round : come) {
      ++round;
      GOMP_barrier();
      EXPECT_EQ(round, 3);
    }
  });
}

struct Piece {
  long first;
  long last;
  bool operator==(const Piece&) const = default;
};

/// The pieces of each thread.
std::vector<std::vector<Piece>> pieces_of(long start, long end, long step, long chunk) {
  std::vector<std::vector<Piece>> pieces(3);
  parallel(3, [&] {
    Piece piece{};
    auto& own = pieces.at(static_cast<size_t>(omp_get_thread_num()));
    if (!GOMP_loop_static_start(start, end, step, chunk, &piece.first, &piece.last)) return;
    do {
      own.push_back(piece);
    } while (GOMP_loop_static_next(&piece.first, &piece.last));
  });
  return pieces;
}

TEST_F(TeamTest, IterationsAreSharedOutAsGccDoes) {
  using P = std::vector<Piece>;
  EXPECT_THAT(pieces_of(0, 8, 1, 0), ElementsAre(P{{0, 3}}, P{{3, 6}}, P{{6, 8}}));
  EXPECT_THAT(pieces_of(0, 2, 1, 0), ElementsAre(P{{0, 1}}, P{{1, 2}}, P{}));
  EXPECT_THAT(pieces_of(10, 0, -3, 0), ElementsAre(P{{10, 4}}, P{{4, 1}}, P{{1, -2}}));
  EXPECT_THAT(pieces_of(0, 10, 1, 2), ElementsAre(P{{0, 2}, {6, 8}}, P{{2, 4}, {8, 10}}, P{{4, 6}}));
  EXPECT_THAT(pieces_of(5, 5, 1, 0), ElementsAre(P{}, P{}, P{}));
}

TEST_F(TeamTest, TeamsOfSeveralThreadsRunAtTheSameTime) {
  std::atomic<int> calls = 0;
  run_workers(4, [&](int) {
    set_thread_count(3);
    for (int round = 0; round < 100; ++round) parallel_for(3, 1, [&](int64_t, int64_t) { ++calls; });
  });
  EXPECT_EQ(calls, 4 * 100 * 3);
}

TEST_F(TeamTest, ThreadsThatSleptComeBack) {
  std::atomic<int> calls = 0;
  for (int round = 0; round < 5; ++round) {
    parallel_for(3, 1, [&](int64_t, int64_t) { ++calls; });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(calls, 15);
}

}  // namespace
}  // namespace narrow
