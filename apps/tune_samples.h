// Which samples of the data calibrate a search, and which judge it.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/data_source.h"

namespace narrow::apps {

/// Fewer can not tell half a point of agreement from none.
inline constexpr int64_t kLeastJudges = 24;

struct TuneSamples {
  std::vector<int64_t> calibration;
  std::vector<int64_t> judges;
};

/// Judges never calibrate. Half of what calibration leaves judges, the other half evaluates; where that would be too
/// few, all that is left judges, and where that is too little, calibration takes two thirds of the data. Where state
/// goes from each sample to the next, the three follow each other, so that none has gaps.
TuneSamples split_samples(const DataSource& data, int64_t wanted);

}  // namespace narrow::apps
