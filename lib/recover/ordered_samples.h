// Samples side by side, their results in order.
#pragma once

#include <cstdint>
#include <functional>

namespace narrow::recover {

/// Calls compute(sample) for samples [0, count) on `workers` threads, and commit(sample), on the same thread, one at a
/// time and in ascending order: so sums made in commit do not depend on the threads. What compute finds it keeps per
/// worker. The exception of the lowest failed sample is rethrown when all have ended.
void for_each_in_order(int64_t count, int workers, const std::function<void(int worker, int64_t sample)>& compute,
                       const std::function<void(int worker, int64_t sample)>& commit);

}  // namespace narrow::recover
