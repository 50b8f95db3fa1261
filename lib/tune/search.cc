#include "lib/tune/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "lib/base/error.h"
#include "lib/base/progress.h"
#include "lib/tune/scores.h"

namespace narrow::tune {
namespace {

constexpr double kSomeTime = 0.1;  // what bytes do not buy back, float32 may: where activations lose more than weights
constexpr size_t kMostSwaps = 32;
constexpr size_t kMostSwapped = 200;  // items
constexpr size_t kMostPriced = 8;     // swaps whose true price is asked for
constexpr double kLeastSwapGain = 1e-3;

/// How far beyond the limit; at most 0 if it is kept.
double excess(const Goal& goal, const Measurement& measurement) {
  const Quality& quality = measurement.quality;
  switch (goal.limit) {
    case Limit::kDrop:
      return std::max({quality.drop, quality.expected_drop / goal.expected_share, quality.most_drop}) - goal.value;
    case Limit::kSqnr:
      return goal.value - (quality.sqnr_db - kSureErrors * quality.sqnr_error);
    case Limit::kBytes:
      return static_cast<double>(measurement.bytes) - goal.value;
    case Limit::kSeconds:
      return measurement.seconds.value() - goal.value;
  }
  return 0;
}

class Searcher {
 public:
  Searcher(const Space& space, const NoiseModel& model, const Goal& goal, const SearchHooks& hooks,
           const SearchOptions& options)
      : space_(space), model_(model), goal_(goal), hooks_(hooks), options_(options), path_(model.path()) {
    for (const Trial& trial : options.known) {
      if (is_whole(trial.measurement)) known_.emplace(trial.choices, trial.measurement);
    }
  }

  SearchResult run() {
    try {
      if (limits_price(goal_.limit)) {
        fill_price();
      } else {
        keep_quality();
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      add_known();
      if (result_.trials.empty()) throw;
      result_.interrupted = true;
    }
    choose();
    return std::move(result_);
  }

 private:
  /// A trail may come from a search with another limit, which measured no times.
  bool is_whole(const Measurement& measurement) const {
    return goal_.limit != Limit::kSeconds || measurement.seconds.has_value();
  }

  /// The assignment with these choices; nullopt where a search with another limit has left them.
  std::optional<Assignment> assignment_of(const std::vector<Choice>& choices) const {
    if (choices.size() != space_.items.size()) return std::nullopt;
    Assignment assignment;
    for (size_t i = 0; i < choices.size(); ++i) {
      const auto& options = space_.items[i].options;
      const auto found =
          std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.choice == choices[i]; });
      if (found == options.end()) return std::nullopt;
      assignment.push_back(static_cast<size_t>(found - options.begin()));
    }
    return assignment;
  }

  /// Those that an interruption did not let the search come to again are as good as those that it came to.
  void add_known() {
    for (const Trial& known : options_.known) {
      const std::optional<Assignment> assignment = assignment_of(known.choices);
      if (assignment && is_whole(known.measurement)) trial(*assignment, known.step);
    }
  }

  bool in_time() const { return !options_.seconds || watch_.seconds() <= *options_.seconds; }

  bool more() {
    const bool late = !in_time();
    const bool enough = static_cast<int64_t>(result_.trials.size()) >= options_.trials;
    if (!late && !enough) return true;
    result_.out_of_budget = true;
    return false;
  }

  bool trial(const Assignment& assignment, std::string step) {
    for (const Trial& before : result_.trials) {
      if (before.choices == choices_of(space_, assignment)) return before.kept;
    }
    Trial trial{.choices = choices_of(space_, assignment), .measurement = {}, .step = std::move(step), .kept = false};
    const auto found = known_.find(trial.choices);
    const bool known = found != known_.end();
    trial.measurement = known ? found->second : hooks_.measure(trial.choices);
    trial.kept = keeps(goal_, trial.measurement);
    known_.emplace(trial.choices, trial.measurement);
    costs_.push_back(model_.cost(assignment));
    noises_.push_back(model_.noise(assignment));
    result_.trials.push_back(trial);
    if (!known && hooks_.on_trial) hooks_.on_trial(trial);
    return trial.kept;
  }

  bool try_path(size_t at) { return trial(path_[at], fmt::format("path {} of {}", at, path_.size() - 1)); }

  void keep_quality() {
    if (try_path(0) || path_.size() == 1) return;
    size_t fails = 0;
    size_t holds = path_.size() - 1;
    bool measured = false;
    while (holds - fails > 1 && more()) {
      const size_t middle = fails + (holds - fails) / 2;
      if (try_path(middle)) {
        holds = middle;
        measured = true;
      } else {
        fails = middle;
      }
    }
    // What has least noise is measured too before anything is promised, whatever the budget.
    if (!measured && !try_path(holds)) return;
    narrow_back(path_[holds]);
  }

  /// Down the descent from what keeps the limit as far as it is kept, and on from there by other changes than the one
  /// that breaks it.
  void narrow_back(Assignment best) {
    std::set<ItemOption> refused;
    while (more()) {
      const std::vector<Assignment> descent = model_.descent(best, refused);
      size_t holds = 0;
      size_t fails = descent.size();
      while (fails - holds > 1 && more()) {
        const size_t middle = next_probe(descent, holds, fails);
        (trial(descent[middle], "narrow back") ? holds : fails) = middle;
      }
      if (fails == descent.size()) return;
      if (fails - holds == 1) refused.insert(change_between(descent[holds], descent[fails]));
      best = descent[holds];
    }
  }

  /// The last between both whose predicted noise is not beyond the middle (in decibels) of what holds and the least
  /// that is known to fail.
  size_t next_probe(const std::vector<Assignment>& descent, size_t holds, size_t fails) const {
    const double low = std::max(model_.noise(descent[holds]), std::numeric_limits<double>::min());
    const double high = fails < descent.size() ? model_.noise(descent[fails]) : least_failing_noise();
    const double middle = std::sqrt(low) * std::sqrt(std::max(high, low));
    size_t probe = holds + 1;
    while (probe + 1 < fails && model_.noise(descent[probe + 1]) <= middle) ++probe;
    return probe;
  }

  double least_failing_noise() const {
    double least = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < noises_.size(); ++i) {
      if (!result_.trials[i].kept) least = std::min(least, noises_[i]);
    }
    return least;
  }

  static ItemOption change_between(const Assignment& before, const Assignment& after) {
    const auto different = std::mismatch(before.begin(), before.end(), after.begin());
    return {static_cast<size_t>(different.first - before.begin()), *different.second};
  }

  double price(const Assignment& assignment) const {
    check_interruption();
    return hooks_.price(choices_of(space_, assignment));
  }

  double price(const Option& option) const { return goal_.limit == Limit::kBytes ? option.bytes : option.seconds; }

  bool fits(const Assignment& assignment) const { return price(assignment) <= goal_.value; }

  /// The config's choice wherever it is among the options, else the path's first.
  Assignment configured() const {
    Assignment assignment = path_.front();
    for (size_t i = 0; i < assignment.size(); ++i) {
      const auto& options = space_.items[i].options;
      const auto found = std::find_if(options.begin(), options.end(),
                                      [](const Option& option) { return option.choice == Choice::kConfig; });
      if (found != options.end()) assignment[i] = static_cast<size_t>(found - options.begin());
    }
    return assignment;
  }

  /// A layer that alone is faster in float may be slower among layers on integers, which have to change over for it.
  bool fill_from_config() {
    if (goal_.limit != Limit::kSeconds) return false;
    const Assignment assignment = configured();
    if (!fits(assignment)) return false;
    trial(assignment, "as the config says");
    const Assignment filled = more() ? filled_up(assignment) : assignment;
    if (filled != assignment) trial(filled, "fill up");
    return true;
  }

  void fill_price() {
    if (!fits(path_.front())) {
      if (!fill_from_config()) try_path(0);
      return;
    }
    size_t holds = 0;
    size_t over = path_.size();
    while (over - holds > 1) {
      const size_t middle = holds + (over - holds) / 2;
      (fits(path_[middle]) ? holds : over) = middle;
    }
    try_path(holds);
    if (!more()) return;
    const Assignment filled = filled_up(path_[holds]);
    if (filled != path_[holds]) trial(filled, "fill up");
  }

  /// Better options of single items as long as they fit; those first that take away most noise for their price.
  Assignment filled_up(Assignment assignment) const {
    double room = goal_.value - price(assignment);
    std::vector<bool> refused(assignment.size(), false);
    for (;;) {
      double best_ratio = 0;
      std::optional<std::pair<size_t, size_t>> best;
      const double noise = model_.noise(assignment);
      for (size_t i = 0; i < assignment.size(); ++i) {
        const auto& options = space_.items[i].options;
        for (size_t option = 0; option < options.size() && !refused[i]; ++option) {
          const double paid = price(options[option]) - price(options[assignment[i]]);
          if (paid <= 0 || paid > room) continue;
          Assignment next = assignment;
          next[i] = option;
          const double ratio = (noise - model_.noise(next)) / paid;
          if (ratio <= best_ratio) continue;
          best_ratio = ratio;
          best = {i, option};
        }
      }
      if (!best) break;
      Assignment next = assignment;
      next[best->first] = best->second;
      const double left = goal_.value - price(next);
      if (left < 0) {
        refused[best->first] = true;
        continue;
      }
      room = left;
      assignment = std::move(next);
    }
    return swapped(std::move(assignment));
  }

  /// What single changes can not fill, two can: one item becomes better, another pays for it.
  Assignment swapped(Assignment assignment) const {
    // Of very many items each swap is little, and looking at all pairs much.
    const size_t most = assignment.size() <= kMostSwapped ? kMostSwaps : 0;
    for (size_t swaps = 0; swaps < most && in_time(); ++swaps) {
      const std::optional<Assignment> next = best_swap(assignment, goal_.value - price(assignment));
      if (!next) break;
      assignment = *next;
    }
    return assignment;
  }

  struct Swap {
    double noise = 0;
    std::array<size_t, 4> changes{};  // item, option, item, option
  };

  static Assignment with(Assignment assignment, const Swap& swap) {
    assignment[swap.changes[0]] = swap.changes[1];
    assignment[swap.changes[2]] = swap.changes[3];
    return assignment;
  }

  /// The swap that takes away most noise and fits; nullopt where none gains.
  std::optional<Assignment> best_swap(const Assignment& assignment, double room) const {
    std::vector<Swap> swaps;  // ascending noise, a few
    const double least = model_.noise(assignment) * (1 - kLeastSwapGain);
    for_each_change(assignment, [&](size_t better, size_t option, double paid) {
      if (paid <= room) return;
      check_interruption();
      for_each_change(assignment, [&](size_t cheaper, size_t other, double less) {
        if (cheaper == better || less >= 0 || paid + less > room) return;
        Swap swap{.noise = 0, .changes = {better, option, cheaper, other}};
        swap.noise = model_.noise(with(assignment, swap));
        if (swap.noise >= (swaps.size() < kMostPriced ? least : swaps.back().noise)) return;
        swaps.insert(std::upper_bound(swaps.begin(), swaps.end(), swap,
                                      [](const Swap& a, const Swap& b) { return a.noise < b.noise; }),
                     swap);
        if (swaps.size() > kMostPriced) swaps.pop_back();
      });
    });
    for (const Swap& swap : swaps) {
      Assignment next = with(assignment, swap);
      if (fits(next)) return next;
    }
    return std::nullopt;
  }

  /// visit(item, option, what it costs more).
  template <class Visit>
  void for_each_change(const Assignment& assignment, const Visit& visit) const {
    for (size_t item = 0; item < assignment.size(); ++item) {
      const auto& options = space_.items[item].options;
      for (size_t option = 0; option < options.size(); ++option) {
        if (option == assignment[item]) continue;
        visit(item, option, price(options[option]) - price(options[assignment[item]]));
      }
    }
  }

  bool better(size_t a, size_t b) const {
    const Trial& x = result_.trials[a];
    const Trial& y = result_.trials[b];
    if (x.kept != y.kept) return x.kept;
    if (!x.kept) return excess(goal_, x.measurement) < excess(goal_, y.measurement);
    if (limits_price(goal_.limit)) return x.measurement.quality.sqnr_db > y.measurement.quality.sqnr_db;
    return costs_[a] < costs_[b];
  }

  void choose() {
    for (size_t i = 1; i < result_.trials.size(); ++i) {
      if (better(i, result_.best)) result_.best = i;
    }
    result_.kept = result_.trials.at(result_.best).kept;
    if (result_.kept && limits_price(goal_.limit)) choose_as_predicted();
  }

  /// Of those that the judges can not tell from the best, within its standard error, the one with least predicted
  /// noise.
  void choose_as_predicted() {
    const Quality& best = result_.trials[result_.best].measurement.quality;
    const double least = best.sqnr_db - best.sqnr_error;
    for (size_t i = 0; i < result_.trials.size(); ++i) {
      const Trial& trial = result_.trials[i];
      if (!trial.kept || trial.measurement.quality.sqnr_db < least) continue;
      if (noises_[i] < noises_[result_.best]) result_.best = i;
    }
  }

  const Space& space_;
  const NoiseModel& model_;
  const Goal& goal_;
  const SearchHooks& hooks_;
  const SearchOptions& options_;
  const std::vector<Assignment> path_;
  std::map<std::vector<Choice>, Measurement> known_;
  std::vector<double> costs_;   // by trial
  std::vector<double> noises_;  // by trial, as predicted
  Stopwatch watch_;
  SearchResult result_;
};

}  // namespace

bool limits_price(Limit limit) {
  return limit == Limit::kBytes || limit == Limit::kSeconds;
}

std::vector<Choice> choices_for(Limit limit) {
  if (limit == Limit::kBytes) return all_choices();
  if (limit == Limit::kSeconds) return {Choice::kConfig, Choice::kFloat};
  return {Choice::kConfig, Choice::kStoredInt16, Choice::kStoredInt8, Choice::kFloat};
}

CostWeights weights_for(Limit limit) {
  if (limit == Limit::kBytes) return {.bytes = 1, .time = kSomeTime};
  if (limit == Limit::kSeconds) return {.bytes = kLittle, .time = 1};
  return {};
}

bool keeps(const Goal& goal, const Measurement& measurement) {
  return excess(goal, measurement) <= 0;
}

SearchResult search(const Space& space, const NoiseModel& model, const Goal& goal, const SearchHooks& hooks,
                    const SearchOptions& options) {
  return Searcher(space, model, goal, hooks, options).run();
}

}  // namespace narrow::tune
