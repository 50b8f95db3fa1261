#include "lib/base/parallel.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>
#include <vector>

#include "lib/base/cpu_quota.h"
#include "lib/base/thread_team.h"

namespace narrow {
namespace {

void rethrow_first(const std::vector<std::exception_ptr>& failures) {
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

/// A range cut into pieces.
struct Pieces {
  int64_t count = 0;
  int number = 1;
  const std::function<void(int64_t, int64_t)>& body;
  std::vector<std::exception_ptr> failures;

  void run(int piece) {
    try {
      body(count * piece / number, count * (piece + 1) / number);
    } catch (...) {
      failures[static_cast<size_t>(piece)] = std::current_exception();
    }
  }
};

}  // namespace

void set_thread_count(int threads) {
  team_limit() = std::max(1, threads);
}

int thread_count() {
  return team_limit();
}

int available_processors() {
  const int processors = processors_of_process();
  const auto quota = cpu_quota("/");
  return quota ? std::clamp(static_cast<int>(std::ceil(*quota)), 1, processors) : processors;
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t wanted = (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1);
  const int pieces = static_cast<int>(std::min<int64_t>(wanted, thread_count()));
  if (pieces <= 1) return body(0, count);
  Pieces work{.count = count, .number = pieces, .body = body, .failures = {}};
  work.failures.resize(static_cast<size_t>(pieces));
  if (team_place().team != nullptr) {
    for (int piece = 0; piece < pieces; ++piece) work.run(piece);
  } else {
    ThreadTeam& team = ThreadTeam::own();
    const auto run_own = [](void* data) { static_cast<Pieces*>(data)->run(team_place().number); };
    team.begin(pieces, run_own, &work);
    run_own(&work);
    team.end();
  }
  rethrow_first(work.failures);
}

void run_workers(int workers, const std::function<void(int)>& body) {
  std::vector<std::exception_ptr> failures(static_cast<size_t>(workers));
  std::vector<std::thread> threads;
  threads.reserve(failures.size());
  for (int worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      set_thread_count(1);
      try {
        body(worker);
      } catch (...) {
        failures[static_cast<size_t>(worker)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  rethrow_first(failures);
}

}  // namespace narrow
