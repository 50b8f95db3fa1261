#include "lib/tune/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "lib/base/error.h"
#include "lib/base/progress.h"
#include "lib/tune/fill.h"
#include "lib/tune/scores.h"

namespace narrow::tune {
namespace {

constexpr double kSomeTime = 0.1;  // what bytes do not buy back, float32 may: where activations lose more than weights

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
    if (filled != assignment) trial(filled, "config, filled up");
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
    if (more()) fill_from_config();
  }

  Assignment filled_up(const Assignment& assignment) const {
    return tune::filled_up(
        space_, model_,
        {.limit = goal_.value,
         .price = [&](const Assignment& mixture) { return price(mixture); },
         .option_price = [&](const Option& o) { return goal_.limit == Limit::kBytes ? o.bytes : o.seconds; },
         .sums = goal_.limit == Limit::kBytes,
         .in_time = [&] { return in_time(); }},
        assignment);
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
