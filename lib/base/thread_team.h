// Threads that run one function together: what parallel_for and oneDNN share work out to.
//
// The loops of a model are microseconds apart, so a thread that has nothing to do watches for the next one; but only
// for a moment: where processors are few or others want them, one that watches keeps another from working.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace narrow {

class ThreadTeam {
 public:
  using Function = void (*)(void* data);

  ThreadTeam() = default;
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

  /// The calling thread's own; its threads live as long as it does.
  static ThreadTeam& own();

  /// Lets `size` - 1 other threads call function(data); the caller is to call it too, then end(). At least 2. Throws
  /// std::system_error if a thread can not be started.
  void begin(int size, Function function, void* data);
  /// Waits for the others.
  void end();
  /// Called by all: none goes on before the last has come.
  void meet();

 private:
  struct Worker;
  void work(Worker& worker);
  void start_workers(size_t count);
  void keep_off_own_processor(size_t workers);

  std::vector<std::unique_ptr<Worker>> workers_;
  Function function_ = nullptr;
  void* data_ = nullptr;
  int size_ = 1;
  int threads_ = 1;     // thread_count() of the caller, inside too
  int kept_free_ = -1;  // the processor that the first workers_off_ threads keep off
  size_t workers_off_ = 0;
  alignas(64) std::atomic<uint32_t> running_ = 0;
  alignas(64) std::atomic<uint32_t> arrived_ = 0;
  std::atomic<uint32_t> meeting_ = 0;
};

/// Where the calling thread stands.
struct TeamPlace {
  int number = 0;              // of this thread
  int size = 1;                // of the innermost team
  ThreadTeam* team = nullptr;  // nullptr: of no team of more than one
};
TeamPlace& team_place();

/// How many threads the calling thread may use; at first all processors of the process.
int& team_limit();
/// Processors that the process may run on.
int processors_of_process();

}  // namespace narrow
