#include "apps/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "apps/calibration.h"
#include "apps/judge.h"
#include "apps/pipeline.h"
#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/base/spread.h"
#include "lib/recover/channel_statistics.h"
#include "lib/recover/equalize.h"
#include "lib/recover/input_ranges.h"
#include "lib/recover/layerwise.h"
#include "lib/recover/smooth.h"

namespace narrow::apps {
namespace {

constexpr int64_t kHeldShare = 4;  // one sample of so many judges
constexpr std::array kWeightNoises{1.0, 1000.0};
constexpr size_t kLeastToHold = 24;   // fewer samples judge what they chose
constexpr size_t kLeastSamples = 16;  // fewer tell too little about a layer's inputs
constexpr int64_t kTrialShare = 5;    // trials round with one sample of so many
constexpr size_t kTrialJudges = 48;   // trials differ by less than a few samples can tell
constexpr recover::LayerRowLimits kTrialRows{.least = 4000, .per_column = 8};
constexpr double kOverfitRatio = 1.25;  // of the error on samples that did not choose to that of nearest rounding

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

/// A model under trial.
struct Candidate {
  plan::RecoverySteps steps;
  graph::Model model;
  plan::PrecisionPlan applied;
  plan::PrecisionPlan written;
  std::vector<recover::LayerOutcome> layers;
};

class Recovery {
 public:
  Recovery(const RecoveryRun& run, Stages& stages) : run_(run), stages_(stages), split_(split_samples(run.samples)) {}

  RecoveryOutcome automatic() {
    keep(plain(), Take::kIfBetter);
    const plan::RecoverySteps first = choose_smoothing();
    if (const std::optional<plan::RecoverySteps> steps = choose_steps(first)) {
      const size_t before = facts_.chosen;
      try_steps(*steps);
      // A trial on few samples may be wrong: rounding alone changes the least.
      plan::RecoverySteps alone = first;
      alone.push_back({.method = plan::RecoveryMethod::kRound, .values = {}});
      if (facts_.chosen == before && *steps != alone) try_steps(alone);
    }
    return finish();
  }

  RecoveryOutcome explicit_steps() {
    keep(plain(), Take::kIfBetter);
    auto candidate = make(run_.config.recovery.steps, {.samples = split_.fit});
    if (!candidate) {
      warnings_.push_back("recovery: its steps change nothing in this model");
      return finish();
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
  Candidate plain() const {
    return {.steps = {}, .model = run_.model, .applied = run_.plan, .written = run_.plan, .layers = {}};
  }

  enum class Take { kIfBetter, kAlways };

  struct MakeOptions {
    std::vector<int64_t> samples;  // that choose weights
    bool trial = false;            // quickly: what it shows is which steps do better
    bool numbers_given = false;    // the plan's ranges and scales are those of the steps' result already
  };

  recover::Samples feeds(const std::vector<int64_t>& samples) const {
    return {.count = static_cast<int64_t>(samples.size()), .read = [this, samples](int64_t index) {
              return run_.data.reader->read(samples.at(static_cast<size_t>(index)));
            }};
  }

  bool time_is_over(const plan::RecoverySteps& steps) {
    if (!run_.config.recovery.seconds || watch_.seconds() <= *run_.config.recovery.seconds) return false;
    warnings_.push_back(
        fmt::format("recovery: '{}' was not tried: recovery_seconds were over", plan::recovery_text(steps)));
    return true;
  }

  /// Smoothing with what its search finds, where nearest rounding gains from it; else no step.
  plan::RecoverySteps choose_smoothing() {
    const plan::RecoverySteps steps{{.method = plan::RecoveryMethod::kSmooth, .values = {}}};
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

  /// What does best behind `first` with a part of the samples; nullopt where time was over before.
  std::optional<plan::RecoverySteps> choose_steps(const plan::RecoverySteps& first) {
    std::vector<plan::RecoverySteps> tries{{{.method = plan::RecoveryMethod::kRound, .values = {}}}};
    if (run_.own_ranges && !run_.plan.values.empty()) {  // rounded activations are what equalization is for
      for (const double weight_noise : kWeightNoises) {
        tries.push_back({{.method = plan::RecoveryMethod::kEqualize, .weight_noise = weight_noise, .values = {}},
                         {.method = plan::RecoveryMethod::kRound, .values = {}}});
      }
    }
    std::erase_if(tries, [&](const plan::RecoverySteps& steps) { return !changes(steps.front()); });
    for (plan::RecoverySteps& steps : tries) steps.insert(steps.begin(), first.begin(), first.end());
    const bool has_ties = run_.own_ranges && lies_on_ties();
    if (tries.size() == 1 && !has_ties) return tries.front();
    Best best;
    for (const plan::RecoverySteps& steps : tries) run_trial(steps, best);
    if (best.steps && has_ties) {
      plan::RecoverySteps wider = *best.steps;
      wider.insert(wider.end() - 1, {.method = plan::RecoveryMethod::kRanges, .values = {}});
      run_trial(wider, best);
    }
    return best.steps;
  }

  void run_trial(const plan::RecoverySteps& steps, Best& best) {
    if (time_is_over(steps)) return;
    const MakeOptions few{.samples = part_of(split_.fit), .trial = true};
    auto candidate = make(steps, few);
    if (!candidate) return;
    const double sqnr = measure(*candidate, trial_judge_, trial_judges(split_));
    remember(*candidate, sqnr, fmt::format(" (trial on {} samples)", few.samples.size()));
    if (sqnr > best.sqnr_db) best = {.steps = steps, .sqnr_db = sqnr};
  }

  /// Whether some input's range would be widened.
  bool lies_on_ties() {
    Candidate candidate = plain();
    return ranges(candidate);
  }

  /// An equalization that has no channel to scale needs no trial.
  bool changes(const plan::RecoveryStep& step) {
    if (step.method != plan::RecoveryMethod::kEqualize) return true;
    const recover::EqualizeResult result = recover::equalize(run_.model, channels(), equalize_options(step));
    const bool known = std::find(tried_.begin(), tried_.end(), result.channels) != tried_.end();
    if (result.channels == 0 || known) return false;
    tried_.push_back(result.channels);
    return true;
  }

  const recover::ValueChannels& channels() {
    if (!channels_) {
      channels_ = stages_.run("channels", [&] {
        if (run_.seen != nullptr) return run_.seen->channels(split_.fit);
        return recover::observe_channels(run_.model, feeds(split_.fit), recover::ChannelClasses(run_.model).values(),
                                         run_.workers);
      });
    }
    return *channels_;
  }

  /// nullopt where one of the steps has nothing to do here.
  std::optional<Candidate> make(const plan::RecoverySteps& steps, const MakeOptions& options) {
    trial_.restart();
    Candidate candidate = plain();
    candidate.steps = steps;
    for (plan::RecoveryStep& step : candidate.steps) {
      if (!run_step(step, candidate, options)) return std::nullopt;
    }
    return candidate;
  }

  bool run_step(plan::RecoveryStep& step, Candidate& candidate, const MakeOptions& options) {
    switch (step.method) {
      case plan::RecoveryMethod::kSmooth:
        return smooth(step, candidate, options);
      case plan::RecoveryMethod::kEqualize:
        return equalize(step, candidate, options);
      case plan::RecoveryMethod::kRanges:
        return options.numbers_given || ranges(candidate);
      case plan::RecoveryMethod::kRound:
        return round(candidate, options);
    }
    return false;
  }

  /// Powers and factors come from all samples that choose, in trials on a part of them too.
  bool smooth(plan::RecoveryStep& step, Candidate& candidate, const MakeOptions& options) {
    return stages_.run("smooth", [&] {
      if (step.values.empty()) {
        step.values = recover::search_smoothing(candidate.model, candidate.applied, feeds(split_.fit),
                                                {.workers = run_.workers, .progress = stages_.progress()});
      }
      if (step.values.empty()) return false;
      candidate.model = recover::smooth(candidate.model, step.values, feeds(split_.fit), run_.workers);
      return replan(candidate, options);
    });
  }

  /// Ranges and scales anew, where they are not given.
  bool replan(Candidate& candidate, const MakeOptions& options) {
    if (!options.numbers_given)
      candidate.written = new_plan(candidate.model, options.trial ? options.samples : run_.samples);
    candidate.applied = candidate.written;
    return true;
  }

  recover::EqualizeOptions equalize_options(const plan::RecoveryStep& step) const {
    recover::EqualizeOptions options{.weight_noise = step.weight_noise, .untouched = {}};
    for (const plan::LayerPlan& layer : run_.plan.layers) {
      if (!plan::allows(layer, plan::RecoveryMethod::kEqualize)) options.untouched.insert(layer.node);
    }
    return options;
  }

  bool equalize(const plan::RecoveryStep& step, Candidate& candidate, const MakeOptions& options) {
    recover::EqualizeResult result = recover::equalize(candidate.model, channels(), equalize_options(step));
    if (result.channels == 0) return false;
    candidate.model = std::move(result.model);
    return replan(candidate, options);
  }

  bool ranges(Candidate& candidate) {
    const auto inputs = stages_.run("ranges", [&] {
      return recover::widen_input_ranges(candidate.model, candidate.written, feeds(split_.fit), run_.workers);
    });
    candidate.applied = candidate.written;
    return inputs > 0;
  }

  /// Ranges and scales of a model whose constants have changed.
  plan::PrecisionPlan new_plan(const graph::Model& model, const std::vector<int64_t>& samples) {
    const analyze::Analysis analysis = analyze::analyze(model);
    const Needs needs = plan::calibration_needs(model, analysis, run_.config.rules);
    const calib::CalibrationTable table = calibrate({.model = model,
                                                     .needs = needs,
                                                     .data = &run_.data,
                                                     .samples = samples,
                                                     .model_sha256 = run_.plan.model_sha256,
                                                     .workers = run_.workers},
                                                    stages_);
    plan::PrecisionPlan plan = plan::make_plan(model, analysis, ranges_of(table), run_.config.rules);
    plan.model_sha256 = run_.plan.model_sha256;
    return plan;
  }

  bool round(Candidate& candidate, const MakeOptions& options) {
    return stages_.run("round", [&] {
      recover::LayerwiseResult result =
          recover::recover_layerwise(candidate.model, candidate.applied, feeds(options.samples),
                                     {.workers = run_.workers,
                                      .search_pull = !options.trial,
                                      .rows = options.trial ? kTrialRows : recover::LayerRowLimits{},
                                      .progress = stages_.progress()});
      candidate.model = std::move(result.model);
      candidate.applied = std::move(result.plan);
      candidate.layers = std::move(result.layers);
      facts_.samples = result.samples;
      return !candidate.layers.empty();
    });
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
        layers.size(), candidate.layers.size(), facts_.samples, worst.node, worst.recovered_error, worst.held_error,
        worst.nearest_error));
  }

  RecoveryOutcome finish() {
    Candidate* const chosen = &*taken_;
    warn_of_overfitting(*chosen);
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
  Stopwatch watch_;
  Stopwatch trial_;
  std::optional<recover::ValueChannels> channels_;
  report::RecoveryFacts facts_;
  std::vector<std::string> warnings_;
  std::optional<Judge> judge_;
  std::optional<Judge> trial_judge_;
  std::vector<int64_t> tried_;  // numbers of channels that equalizations scaled
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

RecoveryOutcome repeat_recovery(const RecoveryRun& run, Stages& stages) {
  const plan::RecoveryRecord& record = *run.plan.recovery;
  if (record.data_sha256 != run.data.sha256) {
    throw Error(ErrorKind::kUsage,
                "its recovery steps ({}) were run over other data (sha256 {}..., --data has {}...): give those, or "
                "remove \"recovery\" from the plan to round to the nearest",
                plan::recovery_text(record.steps), record.data_sha256.substr(0, 12), run.data.sha256.substr(0, 12));
  }
  return Recovery(run, stages).repeat();
}

}  // namespace narrow::apps
