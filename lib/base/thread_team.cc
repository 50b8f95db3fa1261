#include "lib/base/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

namespace narrow {
namespace {

using Clock = std::chrono::steady_clock;

// For work to come, and, what is nearer, for others to finish theirs: a thread that slept is woken on the processor of
// the one that wakes it, where that one watches.
constexpr auto kWatching = std::chrono::microseconds(100);
constexpr auto kWatchingForOthers = std::chrono::milliseconds(2);

void pause_for_a_moment() {
#if defined(__x86_64__)
  constexpr int kPauses = 32;
  for (int i = 0; i < kPauses; ++i) __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Returns when the number is no longer `old`: watched for a moment, then slept on. (Leaving the processor to others
/// between looks made first runs faster but kept two threads on one processor for long.)
void wait_while(const std::atomic<uint32_t>& number, uint32_t old, Clock::duration watching) {
  const auto until = Clock::now() + watching;
  do {
    for (int i = 0; i < 4; ++i) {
      if (number.load(std::memory_order_acquire) != old) return;
      pause_for_a_moment();
    }
  } while (Clock::now() < until);
  while (number.load(std::memory_order_acquire) == old) number.wait(old, std::memory_order_acquire);
}

}  // namespace

struct ThreadTeam::Worker {
  alignas(64) std::atomic<uint32_t> task = 0;  // counts what it was given
  std::atomic<bool> leaves = false;
  int number = 0;
  std::thread thread;
};

int processors_of_process() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
  return std::max(1, CPU_COUNT(&set));
}

ThreadTeam& ThreadTeam::own() {
  thread_local ThreadTeam team;
  return team;
}

ThreadTeam::~ThreadTeam() {
  for (const auto& worker : workers_) {
    worker->leaves.store(true, std::memory_order_relaxed);
    worker->task.fetch_add(1, std::memory_order_release);
    worker->task.notify_one();
  }
  for (const auto& worker : workers_) worker->thread.join();
}

void ThreadTeam::start_workers(size_t count) {
  while (workers_.size() < count) {
    auto worker = std::make_unique<Worker>();
    worker->number = static_cast<int>(workers_.size()) + 1;
    worker->thread = std::thread([this, own = worker.get()] { work(*own); });
    workers_.push_back(std::move(worker));
  }
}

// The scheduler wakes a thread on the processor of the one that wakes it, where it would watch for what that one could
// do in its place.
void ThreadTeam::keep_off_own_processor(size_t workers) {
  const int own = sched_getcpu();
  if (own == kept_free_ && workers <= workers_off_) return;
  cpu_set_t others;
  CPU_ZERO(&others);
  if (own < 0 || sched_getaffinity(0, sizeof others, &others) != 0 || CPU_COUNT(&others) < 2) return;
  CPU_CLR(static_cast<size_t>(own), &others);
  for (size_t i = 0; i < workers; ++i) {
    pthread_setaffinity_np(workers_[i]->thread.native_handle(), sizeof others, &others);
  }
  kept_free_ = own;
  workers_off_ = workers;
}

void ThreadTeam::work(Worker& worker) {
  for (uint32_t done = 0;; ++done) {
    wait_while(worker.task, done, kWatching);
    if (worker.leaves.load(std::memory_order_relaxed)) return;
    team_limit() = threads_;
    team_place() = {.number = worker.number, .size = size_, .team = this};
    function_(data_);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadTeam::begin(int size, Function function, void* data) {
  const auto others = static_cast<size_t>(size) - 1;
  start_workers(others);
  keep_off_own_processor(others);
  function_ = function;
  data_ = data;
  size_ = size;
  threads_ = team_limit();
  running_.store(static_cast<uint32_t>(others), std::memory_order_relaxed);
  team_place() = {.number = 0, .size = size, .team = this};
  for (size_t i = 0; i < others; ++i) {
    workers_[i]->task.fetch_add(1, std::memory_order_release);
    workers_[i]->task.notify_one();
  }
}

void ThreadTeam::end() {
  for (uint32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    wait_while(running_, left, kWatchingForOthers);
  }
  team_place() = {};
}

void ThreadTeam::meet() {
  const uint32_t meeting = meeting_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 < static_cast<uint32_t>(size_)) {
    return wait_while(meeting_, meeting, kWatchingForOthers);
  }
  arrived_.store(0, std::memory_order_relaxed);
  meeting_.fetch_add(1, std::memory_order_release);
  meeting_.notify_all();
}

}  // namespace narrow
