#include "apps/recovery_samples.h"

#include <algorithm>

#include "lib/base/spread.h"
#include "lib/plan/recovery.h"

namespace narrow::apps {
namespace {

constexpr size_t kLeastToHold = 24;  // fewer samples judge what they chose
constexpr int64_t kTrialShare = 5;   // trials round with one sample of so many
constexpr size_t kTrialJudges = 48;  // trials differ by less than a few samples can tell

}  // namespace

Split split_samples(const std::vector<int64_t>& samples, int64_t held_of_each) {
  Split split;
  for (size_t i = 0; i < samples.size(); ++i) {
    const bool held = samples.size() >= kLeastToHold && static_cast<int64_t>(i) % plan::kHeldShare == held_of_each;
    (held ? split.held : split.fit).push_back(samples[i]);
  }
  return split;
}

std::vector<int64_t> part_of(const std::vector<int64_t>& samples) {
  std::vector<int64_t> part;
  for (const int64_t index :
       spread_indices(static_cast<int64_t>(samples.size()),
                      std::max<int64_t>(static_cast<int64_t>(samples.size()) / kTrialShare, 16))) {
    part.push_back(samples[static_cast<size_t>(index)]);
  }
  return part;
}

std::vector<int64_t> trial_judges(const Split& split) {
  if (split.held.empty()) return split.fit;
  const std::vector<int64_t> part = part_of(split.fit);
  std::vector<int64_t> others;
  for (const int64_t sample : split.fit) {
    if (std::find(part.begin(), part.end(), sample) == part.end()) others.push_back(sample);
  }
  std::vector<int64_t> judges = split.held;
  const size_t wanted = kTrialJudges - std::min(judges.size(), kTrialJudges);
  for (const int64_t index :
       spread_indices(static_cast<int64_t>(others.size()), static_cast<int64_t>(std::min(wanted, others.size())))) {
    judges.push_back(others[static_cast<size_t>(index)]);
  }
  return judges;
}

}  // namespace narrow::apps
