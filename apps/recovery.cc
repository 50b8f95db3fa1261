#include "apps/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "apps/judge.h"
#include "apps/pipeline.h"
#include "apps/recovery_samples.h"
#include "apps/recovery_steps.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/recover/align.h"
#include "lib/recover/smooth.h"
#include "lib/report/format.h"

namespace narrow::apps {
namespace {

constexpr int64_t kHeldSecond = 0;    // of each kHeldShare samples, where those held first put nothing above plain
constexpr double kSumsToo = 1;        // weight noise with which equalization scales what convolutions and products sum,
constexpr double kNoSums = 1000;      // and with which only what depthwise convolutions read
constexpr size_t kLeastSamples = 16;  // fewer tell too little about a layer's inputs
constexpr double kLeastGainOfNodes = 0.3;  // dB, that nodes in front of a model must bring
constexpr double kLittleShare = 0.01;      // of the elements: nodes on those need bring nothing
constexpr double kMostPooledFall = 0.5;  // dB, of all samples' errors together, where the mean of the samples' dB rises
constexpr double kOverfitRatio = 1.25;   // of the error on samples that did not choose to that of nearest rounding

/// The calibration samples in two parts, and what stands on either.
struct Fold {
  Fold(const RecoveryRun& run, Stages& stages, const std::vector<int64_t>& samples, int64_t held_of_each)
      : held(held_of_each), split(split_samples(samples, held_of_each)), steps(run, stages, split.fit) {}

  int64_t held;
  Split split;
  StepRunner steps;
  std::optional<Judge> judge;
  Judged plain;  // what the judges say of nearest rounding,
  Judged taken;  // and of what is taken so far
};

class Recovery {
 public:
  /// `samples`: those of the run that differ from each other.
  Recovery(const RecoveryRun& run, Stages& stages, const std::vector<int64_t>& samples)
      : run_(run), stages_(stages), samples_(samples), fold_(run, stages, samples, run.held) {}

  RecoveryOutcome automatic() {
    keep(fold_, fold_.steps.plain(), Take::kIfBetter);
    const plan::RecoverySteps first = choose_smoothing();
    const plan::RecoverySteps steps = choose_steps(first);
    if (!try_steps(fold_, steps)) {
      // A quarter of the samples is wrong about steps like these once in a dozen times: another quarter is asked too.
      second_.emplace(run_, stages_, samples_, kHeldSecond);
      try_steps(*second_, steps);
    }
    // Rounding alone changes the least.
    if (taken_->steps == first && steps != rounded(first)) try_steps(fold_, rounded(first));
    return finish();
  }

  RecoveryOutcome explicit_steps() {
    keep(fold_, fold_.steps.plain(), Take::kIfBetter);
    auto candidate = make(fold_, run_.config.recovery.steps, {.samples = fold_.split.fit, .idle = Idle::kLeftOut});
    if (!candidate || candidate->steps.empty()) {
      warnings_.push_back("recovery: its steps change nothing in this model");
      return finish();
    }
    if (candidate->steps.size() < run_.config.recovery.steps.size()) {
      warnings_.push_back(fmt::format("recovery: of the config's steps only '{}' found something to do",
                                      plan::recovery_text(candidate->steps)));
    }
    keep(fold_, std::move(*candidate), Take::kAlways);
    const auto& trials = facts_.trials;
    if (trials[1].sqnr_db < trials[0].sqnr_db) {
      warnings_.push_back(
          fmt::format("recovery: the steps of the config are worse than nearest rounding ({:.2f} dB, {:.2f} dB)",
                      trials[1].sqnr_db, trials[0].sqnr_db));
    }
    return finish();
  }

  RecoveryOutcome repeat() {
    auto candidate = make(fold_, run_.plan.recovery->steps, {.samples = fold_.split.fit, .numbers_given = true});
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
    if (!std::exchange(is_late_, true)) {
      warnings_.push_back(
          fmt::format("recovery: '{}' and what would have followed was not tried: recovery_seconds were over",
                      plan::recovery_text(steps)));
    }
    return true;
  }

  /// Smoothing with what its search finds, where nearest rounding gains from it; else no step.
  plan::RecoverySteps choose_smoothing() {
    const plan::RecoverySteps steps{{.method = plan::RecoveryMethod::kSmooth}};
    if (!run_.own_ranges || recover::smoothable(run_.model, run_.plan).empty()) return {};
    try_steps(fold_, steps);
    return taken_->steps;
  }

  /// Whether it is taken.
  bool try_steps(Fold& fold, const plan::RecoverySteps& steps) {
    if (time_is_over(steps)) return false;
    auto candidate = make(fold, steps, {.samples = fold.split.fit});
    return candidate && keep(fold, std::move(*candidate), Take::kIfBetter);
  }

  /// Which steps to do behind `first`. Those that gain as a rule are among them unless a trial without does better by
  /// more than what so few samples leave open: what is seen of one model's samples is less sure than the rule. What is
  /// absorbed makes ranges narrower and changes nothing else: of that, a trial could only show chance.
  plan::RecoverySteps choose_steps(const plan::RecoverySteps& first) {
    plan::RecoverySteps steps = rounded(first);
    if (!run_.own_ranges) return steps;
    const bool aligns = fold_.steps.has_grids();
    const bool equalizes = !run_.plan.values.empty() && fold_.steps.changes(equalization(kSumsToo));
    const bool absorbs = !run_.plan.values.empty() && fold_.steps.absorbs();
    if (!aligns && !equalizes && !absorbs && !fold_.steps.lies_on_ties()) return steps;

    if (equalizes) steps = with(steps, equalization(kSumsToo));
    std::optional<Trial> best;
    if (absorbs) best = first_trial(with(steps, {.method = plan::RecoveryMethod::kAbsorb}), aligns);
    // Behind an equalization there may be nothing left to absorb.
    if (!best) best = first_trial(steps, aligns);
    if (!best) return rounded(first);
    if (equalizes) doubt_equalization(*best);
    if (has(*best, plan::RecoveryMethod::kAlign)) doubt_alignment(*best);
    if (!has(*best, plan::RecoveryMethod::kAlign) && fold_.steps.lies_on_ties()) {
      const auto wider = run_trial(with(best->steps, {.method = plan::RecoveryMethod::kRanges}));
      if (wider && leads(*wider, *best)) return wider->steps;
    }
    return best->steps;
  }

  struct Trial {
    plan::RecoverySteps steps;
    Candidate candidate;
    Judged judged;
  };

  static bool has(const Trial& trial, plan::RecoveryMethod method) {
    return std::any_of(trial.steps.begin(), trial.steps.end(),
                       [&](const plan::RecoveryStep& step) { return step.method == method; });
  }

  /// By more than chance.
  static bool leads(const Trial& trial, const Trial& other) {
    const Lead lead = lead_of(trial.judged.sqnr_db, other.judged.sqnr_db);
    return lead.mean > lead.error;
  }

  std::optional<Trial> first_trial(const plan::RecoverySteps& steps, bool aligns) {
    std::optional<Trial> trial;
    if (aligns) trial = run_trial(with(steps, {.method = plan::RecoveryMethod::kAlign}));
    return trial ? std::move(trial) : run_trial(steps);
  }

  void doubt_equalization(Trial& best) {
    const auto unscaled = run_trial(without(best.steps, plan::RecoveryMethod::kEqualize));
    if (!unscaled || !leads(*unscaled, best)) return;
    best = *unscaled;
    if (!fold_.steps.changes(equalization(kNoSums))) return;
    const auto scaled = run_trial(with(best.steps, equalization(kNoSums)));
    if (scaled && lead_of(scaled->judged.sqnr_db, best.judged.sqnr_db).mean > 0) best = *scaled;
  }

  /// Where the nodes that it adds take time it must bring something: on what the same integers have behind inputs
  /// rounded as they are without it.
  void doubt_alignment(Trial& best) {
    const auto is_align = [](const plan::RecoveryStep& step) { return step.method == plan::RecoveryMethod::kAlign; };
    const plan::RecoverySteps& done = best.candidate.steps;
    const auto align = std::find_if(done.begin(), done.end(), is_align);
    if (recover::added_share(run_.model, run_.plan, align->inputs) < kLittleShare) return;
    trial_.restart();
    const graph::Model rounded =
        recover::round_inputs(quantized_model(best.candidate.model, best.candidate.applied), align->inputs, run_.plan);
    const Judged judged = measure(rounded, trial_judge_, trial_judges(fold_.split));
    const plan::RecoverySteps unaligned = without(done, plan::RecoveryMethod::kAlign);
    remember(unaligned, judged, trial_plain_, trial_.seconds(), " (the trial with align, its inputs rounded)");
    if (lead_of(best.judged.sqnr_db, judged.sqnr_db).mean >= kLeastGainOfNodes) return;
    best.steps = without(best.steps, plan::RecoveryMethod::kAlign);
    best.judged = judged;
  }

  static plan::RecoveryStep equalization(double weight_noise) {
    return {.method = plan::RecoveryMethod::kEqualize, .weight_noise = weight_noise};
  }

  static plan::RecoverySteps rounded(const plan::RecoverySteps& steps) {
    return with(steps, {.method = plan::RecoveryMethod::kRound});
  }

  /// Rounds by a part of the samples. nullopt where time is over or a step has nothing to do.
  std::optional<Trial> run_trial(const plan::RecoverySteps& steps) {
    if (time_is_over(steps)) return std::nullopt;
    const StepOptions few{.samples = part_of(fold_.split.fit), .trial = true};
    auto candidate = make(fold_, steps, few);
    if (!candidate) return std::nullopt;
    const double seconds = trial_.seconds();
    const std::vector<int64_t> judges = trial_judges(fold_.split);
    if (trial_plain_.outputs.empty()) trial_plain_ = measure(fold_.steps.plain(), trial_judge_, judges);
    Judged judged = measure(*candidate, trial_judge_, judges);
    remember(candidate->steps, judged, trial_plain_, seconds,
             fmt::format(" (trial on {} samples)", few.samples.size()));
    return Trial{.steps = steps, .candidate = std::move(*candidate), .judged = std::move(judged)};
  }

  std::optional<Candidate> make(Fold& fold, const plan::RecoverySteps& steps, const StepOptions& options) {
    trial_.restart();
    return fold.steps.make(steps, options);
  }

  /// Whether it is taken.
  bool keep(Fold& fold, Candidate candidate, Take take) {
    const double seconds = trial_.seconds();
    if (fold.plain.outputs.empty()) fold.plain = measure(fold.steps.plain(), fold.judge, fold.split.held);
    if (taken_ && fold.taken.outputs.empty()) {
      fold.taken = taken_->steps.empty() ? fold.plain : measure(*taken_, fold.judge, fold.split.held);
    }
    const Judged judged = candidate.steps.empty() ? fold.plain : measure(candidate, fold.judge, fold.split.held);
    remember(candidate.steps, judged, fold.plain, seconds,
             fold.held == fold_.held ? "" : fmt::format(" ({} others held)", fold.split.held.size()));
    if (taken_ && take == Take::kIfBetter && !is_better(judged, fold.taken)) return false;
    facts_.chosen = facts_.trials.size() - 1;
    fold.taken = judged;
    taken_ = std::move(candidate);
    taken_fold_ = &fold;
    return true;
  }

  /// On most samples, and not at the cost of a few.
  static bool is_better(const Judged& judged, const Judged& other) {
    return lead_of(judged.sqnr_db, other.sqnr_db).mean > 0 && pooled_lead(judged, other) > -kMostPooledFall;
  }

  void remember(const plan::RecoverySteps& steps, const Judged& judged, const Judged& plain, double seconds,
                const std::string& note) {
    const Lead gain = lead_of(judged.sqnr_db, plain.sqnr_db);
    facts_.trials.push_back({.steps = plan::recovery_text(steps) + note,
                             .sqnr_db = mean_of(judged.sqnr_db),
                             .gain_db = gain.mean,
                             .gain_error_db = gain.error,
                             .seconds = seconds});
    spdlog::debug("recovery: {}: {:.2f} dB", facts_.trials.back().steps, facts_.trials.back().sqnr_db);
  }

  Judged measure(const Candidate& candidate, std::optional<Judge>& judge, const std::vector<int64_t>& samples) {
    return measure(quantized_model(candidate.model, candidate.applied), judge, samples);
  }

  Judged measure(const graph::Model& quantized, std::optional<Judge>& judge, const std::vector<int64_t>& samples) {
    return stages_.run("judge", [&] {
      auto outputs = run_.seen == nullptr ? std::nullopt : run_.seen->outputs(samples);
      if (!judge && outputs) judge.emplace(std::move(*outputs), *run_.data.reader, samples, run_.workers);
      if (!judge) judge.emplace(run_.model, *run_.data.reader, samples, run_.workers);
      return judge->judge(quantized);
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
    if (!chosen->overflowed.empty()) {
      warnings_.push_back(fmt::format(
          "recovery: {}, the first '{}', with nearest rounding: products of their values overflow float32",
          report::plural(static_cast<int64_t>(chosen->overflowed.size()), "layer"), chosen->overflowed.front()));
    }
    facts_.samples = chosen->samples;
    facts_.held_samples = static_cast<int64_t>(taken_fold_->split.held.size());
    for (const recover::LayerOutcome& layer : chosen->layers) {
      facts_.layers.push_back({.node = layer.node,
                               .nearest_error = layer.nearest_error,
                               .recovered_error = layer.recovered_error,
                               .held_error = layer.held_error});
    }
    if (!chosen->steps.empty()) {
      chosen->written.recovery = plan::RecoveryRecord{.steps = chosen->steps,
                                                      .data_sha256 = run_.data.sha256,
                                                      .samples = static_cast<int64_t>(run_.samples.size()),
                                                      .held = taken_fold_->held};
    }
    return {.model = std::move(chosen->model),
            .applied = std::move(chosen->applied),
            .written = std::move(chosen->written),
            .facts = std::move(facts_),
            .warnings = std::move(warnings_)};
  }

  const RecoveryRun& run_;
  Stages& stages_;
  const std::vector<int64_t> samples_;
  Fold fold_;
  std::optional<Fold> second_;
  Stopwatch watch_;
  Stopwatch trial_;
  report::RecoveryFacts facts_;
  std::vector<std::string> warnings_;
  std::optional<Judge> trial_judge_;
  Judged trial_plain_;  // what it says of nearest rounding
  bool is_late_ = false;
  std::optional<Candidate> taken_;
  const Fold* taken_fold_ = nullptr;
};

bool quantizes_weights(const plan::PrecisionPlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(),
                     [](const plan::LayerPlan& layer) { return layer.weight.has_value(); });
}

std::vector<int64_t> distinct_of(const RecoveryRun& run, Stages& stages) {
  if (run.distinct) return *run.distinct;
  return stages.run("samples", [&] { return distinct_samples(*run.data.reader, run.samples, run.workers); });
}

}  // namespace

std::unique_ptr<FloatRuns> watch_for_recovery(const graph::Model& model, const RecoveryConfig& config,
                                              const std::vector<int64_t>& samples) {
  if ((!config.automatic && config.steps.empty()) || samples.size() < kLeastSamples) return nullptr;
  return std::make_unique<FloatRuns>(model, trial_judges(split_samples(samples, plan::kHeldFirst)));
}

RecoveryOutcome recover(const RecoveryRun& run, Stages& stages) {
  const RecoveryConfig& config = run.config.recovery;
  const bool wanted = config.automatic || !config.steps.empty();
  RecoveryOutcome outcome{.model = run.model, .applied = run.plan, .written = run.plan, .facts = {}, .warnings = {}};
  if (!wanted) return outcome;
  if (!quantizes_weights(run.plan)) {
    if (!config.automatic) outcome.warnings.emplace_back("recovery: its steps do nothing: no weights become integers");
    return outcome;
  }
  const std::vector<int64_t> samples = distinct_of(run, stages);
  const auto repeated = static_cast<int64_t>(run.samples.size() - samples.size());
  if (repeated > 0) {
    outcome.warnings.push_back(
        fmt::format("recovery: of {} calibration samples {} are copies of others, which tell nothing new",
                    run.samples.size(), repeated));
  }
  if (samples.size() < kLeastSamples) {
    outcome.warnings.push_back(
        fmt::format("recovery: {} samples are too few, it takes {}: weights are rounded to the nearest", samples.size(),
                    kLeastSamples));
    return outcome;
  }
  Recovery recovery(run, stages, samples);
  RecoveryOutcome found = config.automatic ? recovery.automatic() : recovery.explicit_steps();
  found.warnings.insert(found.warnings.begin(), outcome.warnings.begin(), outcome.warnings.end());
  return found;
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
  return Recovery(run, stages, distinct_of(run, stages)).repeat();
}

}  // namespace narrow::apps
