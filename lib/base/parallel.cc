#include "lib/base/parallel.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <thread>
#include <vector>

#include "lib/base/cpu_quota.h"

namespace narrow {
namespace {

void run_threads(int workers, const std::function<void(int)>& body) {
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
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace

// oneDNN takes its thread count from OpenMP, so ours does too: one setting, one pool.
void set_thread_count(int threads) {
  omp_set_num_threads(std::max(1, threads));
}

int thread_count() {
  return omp_get_max_threads();
}

int available_processors() {
  const int processors = omp_get_num_procs();
  const auto quota = cpu_quota("/");
  return quota ? std::clamp(static_cast<int>(std::ceil(*quota)), 1, processors) : processors;
}

void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t, int64_t)>& body) {
  if (count <= 0) return;
  const int64_t wanted = (count + std::max<int64_t>(grain, 1) - 1) / std::max<int64_t>(grain, 1);
  const int pieces = static_cast<int>(std::min<int64_t>(wanted, thread_count()));
  if (pieces <= 1) return body(0, count);
  const auto run_piece = [&](int piece) { body(count * piece / pieces, count * (piece + 1) / pieces); };
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer does not see OpenMP's barriers; std::thread gives it the same split with visible ones.
  run_threads(pieces, run_piece);
#else
  std::vector<std::exception_ptr> failures(static_cast<size_t>(pieces));
#pragma omp parallel for num_threads(pieces) schedule(static, 1)
  for (int piece = 0; piece < pieces; ++piece) {
    try {
      run_piece(piece);
    } catch (...) {
      failures[static_cast<size_t>(piece)] = std::current_exception();
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
#endif
}

void run_workers(int workers, const std::function<void(int)>& body) {
  run_threads(workers, body);
}

}  // namespace narrow
