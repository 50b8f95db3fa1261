#include "lib/tune/noise_model.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "lib/base/error.h"

namespace narrow::tune {
namespace {

/// Less than this share of the noise is not worth a change.
constexpr double kLeastGain = 1e-9;

}  // namespace

struct NoiseModel::Move {
  Assignment result;
};

NoiseModel::NoiseModel(const Space& space, const Sensitivity& sensitivity, CostWeights weights)
    : space_(space), touched_(space.items.size()) {
  for (const Item& item : space.items) {
    noise_.emplace_back();
    cost_.emplace_back();
    const double share = item.macs > 0 && space.macs > 0 ? item.macs / space.macs : kSmallItem;
    for (const Option& option : item.options) {
      noise_.back().push_back(option.weight.empty() ? 0 : sensitivity.at(option.weight).noise);
      const double bytes = space.float_bytes > 0 ? option.bytes / space.float_bytes : 0;
      const double counted = option.on_integers || option.half ? 0 : share;  // as fast as the config wants it
      const double time = space.float_seconds > 0 ? option.seconds / space.float_seconds : counted;
      cost_.back().push_back(weights.bytes * bytes + weights.time * time);
    }
  }
  for (size_t v = 0; v < space.values.size(); ++v) {
    value_noise_.push_back(sensitivity.at(space.values[v].component).noise);
    for (const size_t item : space.values[v].items) touched_[item].push_back(v);
  }
}

double NoiseModel::noise(const Assignment& assignment) const {
  double sum = 0;
  for (size_t i = 0; i < assignment.size(); ++i) sum += noise_[i][assignment[i]];
  for (size_t v = 0; v < value_noise_.size(); ++v) {
    const ValueUse& value = space_.values[v];
    const bool rounded = value.items.empty() || std::any_of(value.items.begin(), value.items.end(), [&](size_t item) {
                           return value.is_rounded_by(space_.items[item].options[assignment[item]]);
                         });
    if (rounded) sum += value_noise_[v];
  }
  return sum;
}

double NoiseModel::cost(const Assignment& assignment) const {
  double sum = 0;
  for (size_t i = 0; i < assignment.size(); ++i) sum += cost_[i][assignment[i]];
  return sum;
}

Assignment NoiseModel::cheapest() const {
  Assignment result(space_.items.size(), 0);
  for (size_t i = 0; i < result.size(); ++i) {
    for (size_t option = 1; option < cost_[i].size(); ++option) {
      const size_t best = result[i];
      const bool less = cost_[i][option] < cost_[i][best];
      const bool equal = cost_[i][option] == cost_[i][best] && noise_[i][option] < noise_[i][best];
      if (less || equal) result[i] = option;
    }
  }
  return result;
}

std::vector<NoiseModel::Move> NoiseModel::moves(const Assignment& assignment) const {
  std::vector<Move> result;
  for (size_t i = 0; i < assignment.size(); ++i) {
    for (size_t option = 0; option < space_.items[i].options.size(); ++option) {
      if (option == assignment[i]) continue;
      result.push_back({assignment});
      result.back().result[i] = option;
    }
  }
  // A value is rounded until the last item that touches it is off integers or 16-bit floats: single changes do not show
  // that.
  for (const ValueUse& value : space_.values) {
    Move move{assignment};
    for (const size_t item : value.items) {
      const auto& options = space_.items[item].options;
      if (!value.is_rounded_by(options[assignment[item]])) continue;
      std::optional<size_t> best;
      for (size_t option = 0; option < options.size(); ++option) {
        if (value.is_rounded_by(options[option])) continue;
        if (!best || cost_[item][option] < cost_[item][*best]) best = option;
      }
      if (best) move.result[item] = *best;
    }
    if (move.result != assignment) result.push_back(std::move(move));
  }
  return result;
}

std::vector<Assignment> NoiseModel::path() const {
  std::vector<Assignment> result{cheapest()};
  for (;;) {
    const Assignment& current = result.back();
    const double noise_now = noise(current);
    const double cost_now = cost(current);
    double best_ratio = 0;
    std::optional<Assignment> best;
    for (Move& move : moves(current)) {
      const double gain = noise_now - noise(move.result);
      if (gain <= kLeastGain * noise_now) continue;
      const double paid = cost(move.result) - cost_now;
      const double ratio = paid > 0 ? gain / paid : std::numeric_limits<double>::max();
      if (best && ratio <= best_ratio) continue;
      best_ratio = ratio;
      best = std::move(move.result);
    }
    if (!best) break;
    result.push_back(std::move(*best));
  }
  // What values inside bodies lose is not known: the least noisy assignment rounds none.
  Assignment last = result.back();
  for (size_t i = 0; i < last.size(); ++i) {
    if (space_.items[i].in_body) last[i] = unrounded(i).value_or(last[i]);
  }
  if (last != result.back()) result.push_back(std::move(last));
  return result;
}

std::optional<size_t> NoiseModel::unrounded(size_t item) const {
  const auto& options = space_.items[item].options;
  for (size_t i = 0; i < options.size(); ++i) {
    if (!options[i].on_integers && !options[i].half && options[i].weight.empty()) return i;
  }
  return std::nullopt;
}

}  // namespace narrow::tune
