// Which of the calibration samples choose in recovery, and which judge.
#pragma once

#include <cstdint>
#include <vector>

#include "calib/data_reader.h"

namespace narrow::apps {

struct Split {
  std::vector<int64_t> fit;
  std::vector<int64_t> held;
};

/// Of samples with the same content the first alone: a copy would judge what its like has chosen.
std::vector<int64_t> distinct_samples(const calib::DataReader& data, const std::vector<int64_t>& samples, int workers);

/// Holds `held_of_each` of each plan::kHeldShare samples.
Split split_samples(const std::vector<int64_t>& samples, int64_t held_of_each);

/// A few of them, for trials, and no fewer than tell something.
std::vector<int64_t> part_of(const std::vector<int64_t>& samples);

/// Samples that trials do not round with: those held apart, and others that only the last rounding takes.
std::vector<int64_t> trial_judges(const Split& split);

}  // namespace narrow::apps
