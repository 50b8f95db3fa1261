#include "lib/base/progress.h"

#include <atomic>

#include "lib/base/error.h"

namespace narrow {
namespace {

// The one piece of process-wide state: a signal handler has no other way to reach the work.
std::atomic<bool> interruption_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

void request_interruption() {
  interruption_requested.store(true);
}

void check_interruption() {
  if (interruption_requested.load()) throw Error(ErrorKind::kInterrupted, "interrupted");
}

void acknowledge_interruption() {
  interruption_requested.store(false);
}

}  // namespace narrow
