#include "apps/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "apps/judge.h"
#include "apps/pipeline.h"
#include "apps/recovery_steps.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/spread.h"
#include "lib/recover/smooth.h"

namespace narrow::apps {
namespace {

constexpr int64_t kHeldShare = 4;  // one sample of so many judges
constexpr std::array kWeightNoises{1.0, 1000.0};
constexpr size_t kLeastToHold = 24;        // fewer samples judge what they chose
constexpr size_t kLeastSamples = 16;       // fewer tell too little about a layer's inputs
constexpr int64_t kTrialShare = 5;         // trials round with one sample of so many
constexpr size_t kTrialJudges = 48;        // trials differ by less than a few samples can tell
constexpr double kLeastGainOfNodes = 0.3;  // dB, that nodes in front of a model must bring
constexpr double kOverfitRatio = 1.25;     // of the error on samples that did not choose to that of nearest rounding

struct Split {
  std::vector<int64_t> fit;
  std::vector<int64_t> held;
};

Split split_samples(const std::vector<int64_t>& samples) {
  Split split;
  for (size_t i = 0; i < samples.size(); ++i) {
    const bool held = samples.size() >= kLeastToHold && i % kHeldShare == kHeldShare / 2;
    (held ? split.held : split.fit).push_back(samples[i]);
  }
  return split;
}

/// A few of them, and no fewer than tell something.
std::vector<int64_t> part_of(const std::vector<int64_t>& samples) {
  std::vector<int64_t> part;
  for (const int64_t index :
       spread_indices(static_cast<int64_t>(samples.size()),
                      std::max<int64_t>(static_cast<int64_t>(samples.size()) / kTrialShare, 16))) {
    part.push_back(samples[static_cast<size_t>(index)]);
  }
  return part;
}

/// Samples that trials do not round with: those held apart, and others that only the last rounding takes.
std::vector<int64_t> trial_judges(const Split& split) {
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
  return judges.empty() ? split.fit : judges;
}

class Recovery {
 public:
  Recovery(const RecoveryRun& run, Stages& stages)
      : run_(run), stages_(stages), split_(split_samples(run.samples)), steps_(run, stages, split_.fit) {}

  RecoveryOutcome automatic() {
    keep(steps_.plain(), Take::kIfBetter);
    const plan::RecoverySteps first = choose_smoothing();
    const size_t before = facts_.chosen;
    // A trial on few samples may be wrong.
    for (const plan::RecoverySteps& steps : choose_steps(first)) {
      try_steps(steps);
      if (facts_.chosen != before) break;
    }
    return finish();
  }

  RecoveryOutcome explicit_steps() {
    keep(steps_.plain(), Take::kIfBetter);
    auto candidate = make(run_.config.recovery.steps, {.samples = split_.fit, .idle = Idle::kLeftOut});
    if (!candidate || candidate->steps.empty()) {
      warnings_.push_back("recovery: its steps change nothing in this model");
      return finish();
    }
    if (candidate->steps.size() < run_.config.recovery.steps.size()) {
      warnings_.push_back(fmt::format("recovery: of the config's steps only '{}' found something to do",
                                      plan::recovery_text(candidate->steps)));
    }
    keep(std::move(*candidate), Take::kAlways);
    const auto& trials = facts_.trials;
    if (trials[1].sqnr_db < trials[0].sqnr_db) {
      warnings_.push_back(
          fmt::format("recovery: the steps of the config are worse than nearest rounding ({:.2f} dB, {:.2f} dB)",
                      trials[1].sqnr_db, trials[0].sqnr_db));
    }
    return finish();
  }

  RecoveryOutcome repeat() {
    auto candidate = make(run_.plan.recovery->steps, {.samples = split_.fit, .numbers_given = true});
    ensure(candidate.has_value(), "recorded steps apply");
    return {.model = std::move(candidate->model),
            .applied = std::move(candidate->applied),
            .written = run_.plan,
            .facts = {},
            .warnings = {}};
  }

 private:
  enum class Take { kIfBetter, kAlways };

  bool time_is_over(const plan::RecoverySteps& steps) {
    if (!run_.config.recovery.seconds || watch_.seconds() <= *run_.config.recovery.seconds) return false;
    warnings_.push_back(
        fmt::format("recovery: '{}' was not tried: recovery_seconds were over", plan::recovery_text(steps)));
    return true;
  }

  /// Smoothing with what its search finds, where nearest rounding gains from it; else no step.
  plan::RecoverySteps choose_smoothing() {
    const plan::RecoverySteps steps{{.method = plan::RecoveryMethod::kSmooth}};
    if (!run_.own_ranges || recover::smoothable(run_.model, run_.plan).empty() || time_is_over(steps)) return {};
    auto candidate = make(steps, {.samples = split_.fit});
    if (!candidate) return {};
    plan::RecoverySteps found = candidate->steps;
    keep(std::move(*candidate), Take::kIfBetter);
    return facts_.chosen == facts_.trials.size() - 1 ? found : plan::RecoverySteps{};
  }

  void try_steps(const plan::RecoverySteps& steps) {
    if (time_is_over(steps)) return;
    auto candidate = make(steps, {.samples = split_.fit});
    if (candidate) keep(std::move(*candidate), Take::kIfBetter);
  }

  struct Best {
    std::optional<plan::RecoverySteps> steps = {};
    double sqnr_db = -std::numeric_limits<double>::infinity();
  };

  /// What to do behind `first`: what does best with a part of the samples, then the second best, then rounding alone,
  /// which changes the least. Empty where time was over before the first trial.
  std::vector<plan::RecoverySteps> choose_steps(const plan::RecoverySteps& first) {
    plan::RecoverySteps alone = first;
    alone.push_back({.method = plan::RecoveryMethod::kRound});
    std::vector<plan::RecoverySteps> tries{alone};
    if (run_.own_ranges && !run_.plan.values.empty()) {  // rounded activations are what equalization is for
      for (const double weight_noise : kWeightNoises) {
        const plan::RecoveryStep step{.method = plan::RecoveryMethod::kEqualize, .weight_noise = weight_noise};
        if (steps_.changes(step)) tries.push_back(with(alone, step));
      }
    }
    const bool has_grids = run_.own_ranges && steps_.has_grids();
    const bool has_ties = run_.own_ranges && steps_.lies_on_ties();
    if (tries.size() == 1 && !has_ties && !has_grids) return tries;
    Ranking ranking;
    for (const plan::RecoverySteps& steps : tries) run_trial(steps, ranking);
    if (!ranking.best.steps) return {};
    const plan::RecoverySteps inner = *ranking.best.steps;
    if (has_grids) run_trial(with(inner, {.method = plan::RecoveryMethod::kAlign}), ranking, kLeastGainOfNodes);
    if (has_ties && ranking.best.steps == inner) {
      run_trial(with(inner, {.method = plan::RecoveryMethod::kRanges}), ranking);
    }
    std::vector<plan::RecoverySteps> order;
    for (const auto& steps : {ranking.best.steps, ranking.second.steps, std::optional(alone)}) {
      if (steps && std::find(order.begin(), order.end(), *steps) == order.end()) order.push_back(*steps);
    }
    return order;
  }

  /// `step` where it belongs among `steps`.
  static plan::RecoverySteps with(plan::RecoverySteps steps, const plan::RecoveryStep& step) {
    const auto at = std::find_if(steps.begin(), steps.end(), [&](const plan::RecoveryStep& other) {
      return plan::stands_before(step.method, other.method);
    });
    steps.insert(at, step);
    return steps;
  }

  struct Ranking {
    Best best;
    Best second;
  };

  /// `least_gain`: dB on the best so far that it must bring to go before it.
  void run_trial(const plan::RecoverySteps& steps, Ranking& ranking, double least_gain = 0) {
    if (time_is_over(steps)) return;
    const StepOptions few{.samples = part_of(split_.fit), .trial = true};
    auto candidate = make(steps, few);
    if (!candidate) return;
    const double sqnr = measure(*candidate, trial_judge_, trial_judges(split_));
    remember(*candidate, sqnr, fmt::format(" (trial on {} samples)", few.samples.size()));
    const Best found{.steps = steps, .sqnr_db = sqnr};
    if (sqnr > ranking.best.sqnr_db + least_gain) {
      ranking.second = std::exchange(ranking.best, found);
    } else if (sqnr > ranking.second.sqnr_db) {
      ranking.second = found;
    }
  }

  std::optional<Candidate> make(const plan::RecoverySteps& steps, const StepOptions& options) {
    trial_.restart();
    return steps_.make(steps, options);
  }

  void keep(Candidate candidate, Take take) {
    const double sqnr = measure(candidate, judge_, split_.held.empty() ? split_.fit : split_.held);
    remember(candidate, sqnr, "");
    const bool first = !taken_;
    if (!first && take == Take::kIfBetter && !(sqnr > facts_.trials[facts_.chosen].sqnr_db)) return;
    facts_.chosen = facts_.trials.size() - 1;
    taken_ = std::move(candidate);
  }

  void remember(const Candidate& candidate, double sqnr, const std::string& note) {
    facts_.trials.push_back(
        {.steps = plan::recovery_text(candidate.steps) + note, .sqnr_db = sqnr, .seconds = trial_.seconds()});
    spdlog::debug("recovery: {}: {:.2f} dB", facts_.trials.back().steps, sqnr);
  }

  double measure(const Candidate& candidate, std::optional<Judge>& judge, const std::vector<int64_t>& samples) {
    const graph::Model quantized = quantized_model(candidate.model, candidate.applied);
    return stages_.run("judge", [&] {
      auto outputs = run_.seen == nullptr ? std::nullopt : run_.seen->outputs(samples);
      if (!judge && outputs) judge.emplace(std::move(*outputs), *run_.data.reader, samples, run_.workers);
      if (!judge) judge.emplace(run_.model, *run_.data.reader, samples, run_.workers);
      return judge->sqnr_db(quantized);
    });
  }

  void warn_of_overfitting(const Candidate& candidate) {
    std::vector<const recover::LayerOutcome*> layers;
    for (const recover::LayerOutcome& layer : candidate.layers) {
      if (layer.held_error > kOverfitRatio * layer.nearest_error && layer.nearest_error > 0) layers.push_back(&layer);
    }
    if (layers.empty()) return;
    const recover::LayerOutcome& worst = **std::max_element(layers.begin(), layers.end(), [](auto* a, auto* b) {
      return a->held_error / a->nearest_error < b->held_error / b->nearest_error;
    });
    warnings_.push_back(fmt::format(
        "recovery: the integers of {} of {} layers fit the {} samples that chose them better than others, most "
        "so '{}' (error {:.2g}, on other samples {:.2g}, of nearest rounding {:.2g}): give more samples",
        layers.size(), candidate.layers.size(), candidate.samples, worst.node, worst.recovered_error, worst.held_error,
        worst.nearest_error));
  }

  RecoveryOutcome finish() {
    Candidate* const chosen = &*taken_;
    warn_of_overfitting(*chosen);
    facts_.samples = chosen->samples;
    facts_.held_samples = static_cast<int64_t>(split_.held.size());
    for (const recover::LayerOutcome& layer : chosen->layers) {
      facts_.layers.push_back({.node = layer.node,
                               .nearest_error = layer.nearest_error,
                               .recovered_error = layer.recovered_error,
                               .held_error = layer.held_error});
    }
    if (!chosen->steps.empty()) {
      chosen->written.recovery = plan::RecoveryRecord{.steps = chosen->steps,
                                                      .data_sha256 = run_.data.sha256,
                                                      .samples = static_cast<int64_t>(run_.samples.size())};
    }
    return {.model = std::move(chosen->model),
            .applied = std::move(chosen->applied),
            .written = std::move(chosen->written),
            .facts = std::move(facts_),
            .warnings = std::move(warnings_)};
  }

  const RecoveryRun& run_;
  Stages& stages_;
  Split split_;
  StepRunner steps_;
  Stopwatch watch_;
  Stopwatch trial_;
  report::RecoveryFacts facts_;
  std::vector<std::string> warnings_;
  std::optional<Judge> judge_;
  std::optional<Judge> trial_judge_;
  std::optional<Candidate> taken_;
};

bool quantizes_weights(const plan::PrecisionPlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(),
                     [](const plan::LayerPlan& layer) { return layer.weight.has_value(); });
}

}  // namespace

std::unique_ptr<FloatRuns> watch_for_recovery(const graph::Model& model, const RecoveryConfig& config,
                                              const std::vector<int64_t>& samples) {
  if ((!config.automatic && config.steps.empty()) || samples.size() < kLeastSamples) return nullptr;
  return std::make_unique<FloatRuns>(model, trial_judges(split_samples(samples)));
}

RecoveryOutcome recover(const RecoveryRun& run, Stages& stages) {
  const RecoveryConfig& config = run.config.recovery;
  const bool wanted = config.automatic || !config.steps.empty();
  RecoveryOutcome outcome{.model = run.model, .applied = run.plan, .written = run.plan, .facts = {}, .warnings = {}};
  if (!wanted || !quantizes_weights(run.plan)) return outcome;
  if (run.samples.size() < kLeastSamples) {
    outcome.warnings.push_back(
        fmt::format("recovery: {} samples are too few, it takes {}: weights are rounded to the nearest",
                    run.samples.size(), kLeastSamples));
    return outcome;
  }
  Recovery recovery(run, stages);
  return config.automatic ? recovery.automatic() : recovery.explicit_steps();
}

std::string without_recovery(const plan::RecoveryRecord& record) {
  const bool only_rounds = std::all_of(record.steps.begin(), record.steps.end(), [](const plan::RecoveryStep& step) {
    return step.method == plan::RecoveryMethod::kRound || step.method == plan::RecoveryMethod::kRanges;
  });
  return only_rounds ? ", or remove \"recovery\" from the plan to round to the nearest"
                     : "; its ranges are those of the model behind these steps and of no other";
}

RecoveryOutcome repeat_recovery(const RecoveryRun& run, Stages& stages) {
  const plan::RecoveryRecord& record = *run.plan.recovery;
  if (record.data_sha256 != run.data.sha256) {
    throw Error(ErrorKind::kUsage,
                "its recovery steps ({}) were run over other data (sha256 {}..., --data has {}...): give those{}",
                plan::recovery_text(record.steps), record.data_sha256.substr(0, 12), run.data.sha256.substr(0, 12),
                without_recovery(record));
  }
  return Recovery(run, stages).repeat();
}

}  // namespace narrow::apps
