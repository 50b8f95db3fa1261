// A thread count for a while.
#pragma once

#include "lib/base/parallel.h"

namespace narrow {

/// Sets the calling thread's thread count for as long as it lives.
class ThreadCountScope {
 public:
  explicit ThreadCountScope(int threads) : before_(thread_count()) {
    if (threads != before_) set_thread_count(threads);
  }
  ThreadCountScope(const ThreadCountScope&) = delete;
  ThreadCountScope& operator=(const ThreadCountScope&) = delete;
  ~ThreadCountScope() {
    if (thread_count() != before_) set_thread_count(before_);
  }

 private:
  const int before_;
};

}  // namespace narrow
