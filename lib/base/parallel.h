// Threads. Work is split the same way whatever runs it, so results never depend on the thread count.
#pragma once

#include <cstdint>
#include <functional>

namespace narrow {

/// Threads that parallel_for and oneDNN use from the calling thread; at least 1.
void set_thread_count(int threads);
int thread_count();
/// Processors this process may run on and, by its control group's limit, keep busy (part of one counts as one). Threads
/// beyond them would wait for each other at every barrier.
int available_processors();

/// Calls body(begin, end) over [0, count) in pieces of at least `grain`, on up to thread_count() threads. An exception
/// of one piece is rethrown after all have ended. Pieces must not depend on each other.
void parallel_for(int64_t count, int64_t grain, const std::function<void(int64_t begin, int64_t end)>& body);

/// Runs body(0) ... body(workers - 1) at the same time, each on a thread of its own whose thread_count() is 1.
/// The exception of the lowest-numbered failed worker is rethrown when all have ended.
void run_workers(int workers, const std::function<void(int worker)>& body);

}  // namespace narrow
