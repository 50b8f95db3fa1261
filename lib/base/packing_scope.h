// How many threads bring constants into the order that kernels read.
#pragma once

#include <cstddef>
#include <optional>

#include "lib/base/thread_scope.h"

namespace narrow {

/// One thread for as long as it lives where so many bytes are packed in less time than another takes to wake: while a
/// model is compiled the others sleep.
class PackingScope {
 public:
  explicit PackingScope(size_t bytes) {
    constexpr size_t kWorthThreads = size_t{1} << 20;
    if (bytes < kWorthThreads) one_.emplace(1);
  }

 private:
  std::optional<ThreadCountScope> one_;
};

}  // namespace narrow
