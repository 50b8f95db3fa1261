#include "apps/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/calibration.h"
#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/base/log.h"
#include "lib/io/load.h"
#include "lib/recover/channel_maxima.h"
#include "lib/recover/equalize.h"
#include "lib/recover/layerwise.h"
#include "lib/rewrite/qdq.h"
#include "lib/validate/validate.h"

namespace narrow::apps {
namespace {

constexpr int64_t kHeldShare = 8;       // one sample of so many judges
constexpr size_t kLeastToHold = 24;     // fewer samples judge what they chose
constexpr size_t kLeastSamples = 8;     // fewer tell too little about a layer's inputs
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
    keep(plain());
    std::vector<plan::RecoverySteps> tries{{{.method = plan::RecoveryMethod::kRound}}};
    if (run_.own_ranges) {
      for (const double strength : {0.0, 0.5}) {
        tries.push_back({{.method = plan::RecoveryMethod::kEqualize, .strength = strength},
                         {.method = plan::RecoveryMethod::kRound}});
      }
    }
    for (const plan::RecoverySteps& steps : tries) {
      if (run_.config.recovery.seconds && watch_.seconds() > *run_.config.recovery.seconds) {
        warnings_.push_back(
            fmt::format("recovery: '{}' was not tried: recovery_seconds were over", plan::recovery_text(steps)));
        continue;
      }
      auto candidate = make(steps, false);
      if (candidate) keep(std::move(*candidate));
    }
    return finish(best_);
  }

  RecoveryOutcome explicit_steps() {
    keep(plain());
    auto candidate = make(run_.config.recovery.steps, false);
    if (!candidate) {
      warnings_.push_back("recovery: its steps change nothing in this model");
      return finish(best_);
    }
    keep(std::move(*candidate));
    if (facts_.trials[1].sqnr_db < facts_.trials[0].sqnr_db) {
      warnings_.push_back(
          fmt::format("recovery: the steps of the config are worse than nearest rounding ({:.2f} dB, {:.2f} dB)",
                      facts_.trials[1].sqnr_db, facts_.trials[0].sqnr_db));
    }
    facts_.chosen = 1;
    return finish(last_);
  }

  RecoveryOutcome repeat() {
    auto candidate = make(run_.plan.recovery->steps, true);
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

  recover::Samples fit_samples() const {
    return {.count = static_cast<int64_t>(split_.fit.size()), .read = [this](int64_t index) {
              return run_.data.reader->read(split_.fit.at(static_cast<size_t>(index)));
            }};
  }

  /// nullopt where one of the steps has nothing to do here.
  std::optional<Candidate> make(const plan::RecoverySteps& steps, bool numbers_given) {
    trial_.restart();
    Candidate candidate = plain();
    candidate.steps = steps;
    for (const plan::RecoveryStep& step : steps) {
      const bool done =
          step.method == plan::RecoveryMethod::kEqualize ? equalize(step, candidate, numbers_given) : round(candidate);
      if (!done) return std::nullopt;
    }
    return candidate;
  }

  bool equalize(const plan::RecoveryStep& step, Candidate& candidate, bool numbers_given) {
    return stages_.run("equalize", [&] {
      const recover::Samples samples = fit_samples();
      if (!maxima_) {
        const recover::ChannelClasses classes(candidate.model);
        maxima_ = recover::observe_channels(candidate.model, samples, classes.values(), run_.workers);
      }
      recover::EqualizeResult result = recover::equalize(candidate.model, *maxima_, {.mixed_strength = step.strength});
      if (result.channels == 0) return false;
      candidate.model = std::move(result.model);
      if (!numbers_given) candidate.written = new_plan(candidate.model);
      candidate.applied = candidate.written;
      return true;
    });
  }

  /// Ranges and scales of a model whose constants have changed.
  plan::PrecisionPlan new_plan(const graph::Model& model) {
    const analyze::Analysis analysis = analyze::analyze(model);
    const Needs needs = plan::calibration_needs(model, analysis, run_.config.rules);
    const calib::CalibrationTable table = calibrate({.model = model,
                                                     .needs = needs,
                                                     .data = &run_.data,
                                                     .samples = run_.samples,
                                                     .model_sha256 = run_.plan.model_sha256,
                                                     .workers = run_.workers},
                                                    stages_);
    plan::PrecisionPlan plan = plan::make_plan(model, analysis, ranges_of(table), run_.config.rules);
    plan.model_sha256 = run_.plan.model_sha256;
    return plan;
  }

  bool round(Candidate& candidate) {
    return stages_.run("round", [&] {
      recover::LayerwiseResult result = recover::recover_layerwise(
          candidate.model, candidate.applied, fit_samples(), {.workers = run_.workers, .progress = stages_.progress()});
      candidate.model = std::move(result.model);
      candidate.applied = std::move(result.plan);
      candidate.layers = std::move(result.layers);
      facts_.samples = result.samples;
      return !candidate.layers.empty();
    });
  }

  /// Measures and remembers it if it is the best so far.
  void keep(Candidate candidate) {
    const double sqnr = measure(candidate);
    facts_.trials.push_back(
        {.steps = plan::recovery_text(candidate.steps), .sqnr_db = sqnr, .seconds = trial_.seconds()});
    spdlog::debug("recovery: {}: {:.2f} dB", facts_.trials.back().steps, sqnr);
    if (facts_.trials.size() == 1 || sqnr > facts_.trials[facts_.chosen].sqnr_db) {
      facts_.chosen = facts_.trials.size() - 1;
      best_ = candidate;
    }
    last_ = std::move(candidate);
  }

  double measure(const Candidate& candidate) {
    const std::vector<int64_t>& judges = split_.held.empty() ? split_.fit : split_.held;
    graph::Model quantized = rewrite::rewrite_to_qdq(candidate.model, candidate.applied);
    io::infer_shapes(quantized);
    const validate::Samples samples{
        .count = static_cast<int64_t>(judges.size()),
        .read = [&](int64_t index) { return run_.data.reader->read(judges[static_cast<size_t>(index)]); },
        .labels = {}};
    validate::ValidateOptions options;
    options.workers = run_.workers;
    options.compare_layers = false;
    options.speed_repetitions = 0;
    options.progress = stages_.progress();
    const validate::Validation validation =
        stages_.run("judge", [&] { return validate::validate(run_.model, quantized, samples, options); });
    return mean_sqnr(validation);
  }

  /// Outputs that are the same in both say nothing.
  static double mean_sqnr(const validate::Validation& validation) {
    double sum = 0;
    int64_t count = 0;
    for (const validate::OutputComparison& output : validation.outputs) {
      if (!std::isfinite(output.metrics.sqnr_db)) continue;
      sum += output.metrics.sqnr_db;
      ++count;
    }
    return count == 0 ? std::numeric_limits<double>::infinity() : sum / static_cast<double>(count);
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

  RecoveryOutcome finish(std::optional<Candidate>& chosen) {
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
  std::optional<recover::ChannelMaxima> maxima_;
  report::RecoveryFacts facts_;
  std::vector<std::string> warnings_;
  std::optional<Candidate> best_;
  std::optional<Candidate> last_;
};

bool quantizes_weights(const plan::PrecisionPlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(),
                     [](const plan::LayerPlan& layer) { return layer.weight.has_value(); });
}

}  // namespace

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
