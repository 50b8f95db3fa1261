// Which of the calibration samples choose in recovery, and which judge.
#pragma once

#include <cstdint>
#include <vector>

namespace narrow::apps {

struct Split {
  std::vector<int64_t> fit;
  std::vector<int64_t> held;  // empty where there are too few to hold some apart
};

/// Holds `held_of_each` of each plan::kHeldShare samples.
Split split_samples(const std::vector<int64_t>& samples, int64_t held_of_each);

/// A few of them, for trials, and no fewer than tell something.
std::vector<int64_t> part_of(const std::vector<int64_t>& samples);

/// Samples that trials do not round with: those held apart, and others that only the last rounding takes. Where there
/// are too few to hold some apart, all.
std::vector<int64_t> trial_judges(const Split& split);

}  // namespace narrow::apps
