#include "lib/recover/level_grid.h"

#include <algorithm>
#include <cmath>

namespace narrow::recover {
namespace {

constexpr size_t kMostLevels = 256;
constexpr size_t kLeastLevels = 16;  // fewer may be anything
/// Of a step: so far off the grid numbers may lie, as float32 rounds them.
constexpr double kSlack = 0.02;

}  // namespace

int LevelGrid::room() const {
  return static_cast<int>(kMostLevels) - levels;
}

int LevelGrid::first_code() const {
  const double highest = lowest + (levels - 1) * step;
  if (std::abs(lowest) < kSlack * step) return 0;
  return std::abs(highest) < kSlack * step ? room() : room() / 2;
}

void LevelSet::add(float value) {
  if (full_ || (has_last_ && value == last_)) return;
  last_ = value;
  has_last_ = true;
  if (!std::isfinite(value)) return give_up();
  const auto at = std::lower_bound(sorted_.begin(), sorted_.end(), value);
  if (at != sorted_.end() && *at == value) return;
  if (sorted_.size() == kMostLevels) return give_up();
  sorted_.insert(at, value);
}

void LevelSet::add(const LevelSet& other) {
  full_ |= other.full_;
  for (const float value : other.sorted_) add(value);
}

std::optional<LevelGrid> LevelSet::grid() const {
  if (full_ || sorted_.size() < kLeastLevels) return std::nullopt;
  double least = INFINITY;
  for (size_t i = 1; i < sorted_.size(); ++i) {
    least = std::min(least, static_cast<double>(sorted_[i]) - static_cast<double>(sorted_[i - 1]));
  }
  const double first = static_cast<double>(sorted_.front());
  const double span = static_cast<double>(sorted_.back()) - first;
  if (span / least > static_cast<double>(kMostLevels) - 0.5) return std::nullopt;
  // The least distance is off by float32's rounding; over all of the span it is not.
  const double steps = std::nearbyint(span / least);
  const double step = span / steps;
  const bool even = std::all_of(sorted_.begin(), sorted_.end(), [&](float value) {
    const double at = (static_cast<double>(value) - first) / step;
    return std::abs(at - std::nearbyint(at)) < kSlack;
  });
  if (!even) return std::nullopt;
  return LevelGrid{.lowest = first, .step = step, .levels = static_cast<int>(steps) + 1};
}

}  // namespace narrow::recover
