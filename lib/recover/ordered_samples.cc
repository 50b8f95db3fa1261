#include "lib/recover/ordered_samples.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>

#include "lib/base/parallel.h"
#include "lib/base/progress.h"

namespace narrow::recover {
namespace {

class Turns {
 public:
  explicit Turns(int64_t count) : count_(count) {}

  /// The next sample to compute, or -1.
  int64_t take() {
    const std::lock_guard lock(mutex_);
    return failure_ || next_ == count_ ? -1 : next_++;
  }

  /// Waits until all samples before this one are committed; false if one of them failed.
  bool wait(int64_t sample) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_ || turn_ == sample; });
    return !failure_;
  }

  void pass() {
    const std::lock_guard lock(mutex_);
    ++turn_;
    changed_.notify_all();
  }

  void fail(int64_t sample, std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    if (!failure_ || sample < failed_) {
      failure_ = std::move(failure);
      failed_ = sample;
    }
    changed_.notify_all();
  }

  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  int64_t count_;
  int64_t next_ = 0;
  int64_t turn_ = 0;
  int64_t failed_ = 0;
  std::exception_ptr failure_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace

void for_each_in_order(int64_t count, int workers, const std::function<void(int worker, int64_t sample)>& compute,
                       const std::function<void(int worker, int64_t sample)>& commit) {
  Turns turns(count);
  run_workers(static_cast<int>(std::clamp<int64_t>(workers, 1, std::max<int64_t>(count, 1))), [&](int worker) {
    for (int64_t sample = turns.take(); sample >= 0; sample = turns.take()) {
      try {
        check_interruption();
        compute(worker, sample);
        if (!turns.wait(sample)) return;
        commit(worker, sample);
        turns.pass();
      } catch (...) {
        turns.fail(sample, std::current_exception());
        return;
      }
    }
  });
  turns.rethrow();
}

}  // namespace narrow::recover
