#include "apps/range_room.h"

#include <algorithm>
#include <cmath>

#include "lib/recover/channel_statistics.h"

namespace narrow::apps {
namespace {

/// By how much of the furthest sample's reach that of four times as many would be larger.
double room_of(const std::vector<double>& reaches) {
  double most = 0;
  double sum = 0;
  double squares = 0;
  for (const double reach : reaches) {
    most = std::max(most, reach);
    sum += reach;
    squares += reach * reach;
  }
  const auto count = static_cast<double>(reaches.size());
  if (!(most > 0)) return 0;
  const double mean = sum / count;
  return recover::kReach * std::sqrt(std::max(squares / count - mean * mean, 0.0)) / most;
}

}  // namespace

void RangeRoom::on_value(int64_t sample, const std::string& value, const Tensor& tensor) {
  if (!values_.contains(value) || tensor.type() != DataType::kFloat32 || tensor.size() == 0) return;
  const Tensor plain = to_layout(tensor, Layout::kPlain);
  Reach reach{0, 0};
  for (const float element : plain.data<float>()) {
    if (!std::isfinite(element)) continue;
    reach.first = std::max(reach.first, -static_cast<double>(element));
    reach.second = std::max(reach.second, static_cast<double>(element));
  }
  const std::lock_guard lock(mutex_);
  Reach& all = seen_[value][sample];
  all = {std::max(all.first, reach.first), std::max(all.second, reach.second)};
}

quant::Range RangeRoom::widened(const std::string& value, const quant::Range& range) const {
  const auto found = seen_.find(value);
  if (found == seen_.end()) return range;
  std::vector<double> below;
  std::vector<double> above;
  for (const auto& [sample, reach] : found->second) {
    below.push_back(reach.first);
    above.push_back(reach.second);
  }
  return {.rmin = static_cast<float>(static_cast<double>(range.rmin) * (1 + room_of(below))),
          .rmax = static_cast<float>(static_cast<double>(range.rmax) * (1 + room_of(above)))};
}

}  // namespace narrow::apps
