#include "apps/tune_samples.h"

#include <algorithm>

#include "apps/calibration.h"
#include "lib/base/spread.h"

namespace narrow::apps {
namespace {

constexpr int64_t kMostJudges = 200;

}  // namespace

TuneSamples split_samples(const DataSource& data, int64_t wanted) {
  const int64_t size = data.reader->size();
  int64_t count = std::min(size, wanted);
  if (size - count < kLeastJudges) count = std::max<int64_t>(std::min(size, size * 2 / 3), 1);
  TuneSamples samples{.calibration = calibration_samples(data, count), .judges = {}};
  const std::vector<int64_t> rest = remaining_samples(size, samples.calibration);
  const auto left = static_cast<int64_t>(rest.size());
  const int64_t judges = left >= 2 * kLeastJudges ? std::min(left / 2, kMostJudges) : left;
  const int64_t range = data.state.empty() ? left : judges;
  for (const int64_t index : spread_indices(range, judges)) samples.judges.push_back(rest[static_cast<size_t>(index)]);
  return samples;
}

}  // namespace narrow::apps
