#include "lib/base/progress.h"

#include <atomic>

#include "lib/base/error.h"

namespace narrow {
namespace {

// The only process-wide state: a signal handler has no other way to reach the work, nor have the work's threads to
// learn that it is not to be left.
std::atomic<bool> interruption_requested{false};
std::atomic<bool> finishing{false};
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

void request_interruption() {
  interruption_requested.store(true);
}

void check_interruption() {
  if (interruption_requested.load() && !finishing.load()) throw Error(ErrorKind::kInterrupted, "interrupted");
}

void acknowledge_interruption() {
  interruption_requested.store(false);
}

FinishingScope::FinishingScope() {
  finishing.store(true);
}

FinishingScope::~FinishingScope() {
  acknowledge_interruption();
  finishing.store(false);
}

bool FinishingScope::interrupted() const {
  return interruption_requested.load();
}

}  // namespace narrow
