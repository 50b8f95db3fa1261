#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

namespace narrow {

/// How long work tells how far it is: called with the stage's name, the steps done and the steps in all (0: unknown).
/// May be called from several threads, never at the same time.
using Progress = std::function<void(std::string_view stage, int64_t done, int64_t total)>;

/// Asked at step boundaries of long work; throws Error(kInterrupted) once interruption was requested.
void request_interruption();  // async-signal-safe
void check_interruption();
/// The request is answered: what is done from now on is not interrupted by it again.
void acknowledge_interruption();

/// While one lives, check_interruption() throws nothing in any thread: what still has to be done (writing the best so
/// far) is finished. When it goes the request is answered. They do not nest.
class FinishingScope {
 public:
  FinishingScope();
  ~FinishingScope();
  FinishingScope(const FinishingScope&) = delete;
  FinishingScope& operator=(const FinishingScope&) = delete;

  /// Whether an interruption was requested, until now or before.
  bool interrupted() const;
};

/// Seconds since construction.
class Stopwatch {
 public:
  void restart() { start_ = std::chrono::steady_clock::now(); }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace narrow
