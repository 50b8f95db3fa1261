#include "lib/tune/noise_model.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "lib/base/error.h"

namespace narrow::tune {
namespace {

/// Less than this share of the noise is not worth a change.
constexpr double kLeastGain = 1e-9;

/// Ratio of what a change gives to what it takes; without bound where it takes nothing.
double ratio_of(double given, double taken) {
  return taken > 0 ? given / taken : std::numeric_limits<double>::max();
}

}  // namespace

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
    for (const size_t item : space.values[v].items) {
      if (touched_[item].empty() || touched_[item].back() != v) touched_[item].push_back(v);
    }
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

double NoiseModel::noise_change(const Assignment& assignment, size_t item, size_t option) const {
  double change = noise_[item][option] - noise_[item][assignment[item]];
  const Option& before = space_.items[item].options[assignment[item]];
  const Option& after = space_.items[item].options[option];
  for (const size_t v : touched_[item]) {
    const ValueUse& value = space_.values[v];
    if (value.is_rounded_by(before) == value.is_rounded_by(after)) continue;
    const bool by_others = std::any_of(value.items.begin(), value.items.end(), [&](size_t other) {
      return other != item && value.is_rounded_by(space_.items[other].options[assignment[other]]);
    });
    if (!by_others) change += value.is_rounded_by(after) ? value_noise_[v] : -value_noise_[v];
  }
  return change;
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

std::vector<Assignment> NoiseModel::value_moves(const Assignment& assignment) const {
  std::vector<Assignment> result;
  for (const ValueUse& value : space_.values) {
    Assignment moved = assignment;
    for (const size_t item : value.items) {
      const auto& options = space_.items[item].options;
      if (!value.is_rounded_by(options[assignment[item]])) continue;
      std::optional<size_t> best;
      for (size_t option = 0; option < options.size(); ++option) {
        if (value.is_rounded_by(options[option])) continue;
        if (!best || cost_[item][option] < cost_[item][*best]) best = option;
      }
      if (best) moved[item] = *best;
    }
    if (moved != assignment) result.push_back(std::move(moved));
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
    const auto is_best = [&](double gain, double paid) {
      if (gain <= kLeastGain * noise_now || ratio_of(gain, paid) <= best_ratio) return false;
      best_ratio = ratio_of(gain, paid);
      return true;
    };
    std::optional<ItemOption> single;
    for_each_change(current, [&](size_t item, size_t option) {
      const double paid = cost_[item][option] - cost_[item][current[item]];
      if (is_best(-noise_change(current, item, option), paid)) single = {item, option};
    });
    std::optional<Assignment> joint;
    for (Assignment& moved : value_moves(current)) {
      if (is_best(noise_now - noise(moved), cost(moved) - cost_now)) joint = std::move(moved);
    }
    if (!joint && !single) break;
    Assignment next = joint ? std::move(*joint) : current;
    if (!joint) next[single->first] = single->second;
    result.push_back(std::move(next));
  }
  // What values inside bodies lose is not known: the least noisy assignment rounds none.
  Assignment last = result.back();
  for (size_t i = 0; i < last.size(); ++i) {
    if (space_.items[i].in_body) last[i] = unrounded(i).value_or(last[i]);
  }
  if (last != result.back()) result.push_back(std::move(last));
  return result;
}

std::vector<Assignment> NoiseModel::descent(const Assignment& from, const std::set<ItemOption>& refused) const {
  std::vector<Assignment> result{from};
  for (;;) {
    Assignment next = result.back();
    double best_ratio = 0;
    std::optional<ItemOption> best;
    for_each_change(next, [&](size_t item, size_t option) {
      const double saved = cost_[item][next[item]] - cost_[item][option];
      if (saved <= 0 || refused.contains({item, option})) return;
      const double ratio = ratio_of(saved, noise_change(next, item, option));
      if (ratio <= best_ratio) return;
      best_ratio = ratio;
      best = {item, option};
    });
    if (!best) return result;
    next[best->first] = best->second;
    result.push_back(std::move(next));
  }
}

std::optional<size_t> NoiseModel::unrounded(size_t item) const {
  const auto& options = space_.items[item].options;
  for (size_t i = 0; i < options.size(); ++i) {
    if (!options[i].on_integers && !options[i].half && options[i].weight.empty()) return i;
  }
  return std::nullopt;
}

}  // namespace narrow::tune
