#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "lib/base/parallel.h"
#include "lib/base/progress.h"
#include "lib/tensor/workspace.h"

namespace narrow::tune {

/// body(sample, workspace) for samples [0, count) on `workers` threads of one thread each, in no order.
inline void each_sample(int64_t count, int workers, const std::function<void(size_t, Workspace&)>& body) {
  const int used = static_cast<int>(std::clamp<int64_t>(workers, 1, std::max<int64_t>(count, 1)));
  run_workers(used, [&](int worker) {
    Workspace workspace;
    for (int64_t sample = worker; sample < count; sample += used) {
      check_interruption();
      body(static_cast<size_t>(sample), workspace);
    }
  });
}

}  // namespace narrow::tune
