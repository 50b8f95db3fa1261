#include "apps/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "apps/calibration.h"
#include "apps/model_source.h"
#include "apps/recovery.h"
#include "apps/recovery_samples.h"
#include "apps/tune_promise.h"
#include "apps/tune_report.h"
#include "apps/tune_samples.h"
#include "lib/analyze/analyze.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/spread.h"
#include "lib/io/load.h"
#include "lib/recover/align.h"
#include "lib/tune/clock.h"
#include "lib/tune/judge.h"
#include "lib/tune/trail.h"

namespace narrow::apps {
namespace {

constexpr int64_t kSensitivitySamples = 16;
constexpr double kHarmlessShare = 0.25;  // of the limit
constexpr int64_t kTimedSamples = 8;

bool rounds_products(const plan::PrecisionPlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const plan::LayerPlan& layer) {
    return layer.decision == plan::Decision::kQuantize && layer.weight.has_value();
  });
}

/// Ranges of a plan's values, by group.
plan::Ranges ranges_in(const plan::PrecisionPlan& plan, const analyze::Analysis& analysis) {
  plan::Ranges ranges;
  for (const plan::ValuePlan& value : plan.values) {
    ranges.emplace(analysis.group(value.value).representative,
                   plan::ValueRange{.range = value.range, .calibrator = value.calibrator, .unusable = {}});
  }
  return ranges;
}

class Tuner {
 public:
  Tuner(const TuneOptions& options, Stages& stages)
      : options_(options),
        stages_(stages),
        rules_(options.pipeline.config.rules),
        source_(open_model(options.pipeline.model, options.pipeline.outputs, stages)),
        data_(open_source(options.pipeline.data,
                          {checked(source_.loaded), options.pipeline.config.inputs, options.pipeline.outputs}, stages)),
        samples_(split_samples(data_, options.pipeline.config.samples)),
        original_(normalize(source_.loaded, stages)),
        model_(original_) {}

  TuneOutcome run() {
    const validate::Samples judges = select_samples(data_, samples_.judges, options_.pipeline.labels);
    find_numbers();
    open_trail();
    judge_.emplace(stages_.run("judges", [&] { return tune::Judge(source_.loaded, judges, workers()); }));
    choose_recovery();
    tune::Space space = make_space();
    check_nodes(space);
    if (options_.limit == tune::Limit::kSeconds) time_layers(judges, space);
    measure_sensitivity(space);
    const tune::SearchResult found = search(space);
    if (found.interrupted) acknowledge_interruption();
    return finish(space, found);
  }

 private:
  static const graph::Model& checked(const graph::Model& model) {
    refuse_quantized(model);
    return model;
  }

  int workers() const { return options_.pipeline.workers; }
  const plan::Rules& rules() const { return rules_; }

  void find_numbers() {
    analysis_ = stages_.run("analyze", [&] { return analyze::analyze(original_); });
    const Needs needs = plan::calibration_needs(original_, analysis_, rules());
    const calib::CalibrationTable table = calibrate({.model = original_,
                                                     .needs = needs,
                                                     .data = &data_,
                                                     .samples = samples_.calibration,
                                                     .model_sha256 = source_.facts.sha256,
                                                     .workers = workers()},
                                                    stages_);
    warnings_ = calibration_warnings(table);
    ranges_ = ranges_of(table);
  }

  void open_trail() {
    trail_.model_sha256 = source_.facts.sha256;
    trail_.data_sha256 = data_.sha256;
    trail_.options = to_json(options_.pipeline.config);
    trail_.options["labels"] = !options_.pipeline.labels.empty();
    const bool goes_on = !options_.trail.empty() && std::filesystem::exists(options_.trail);
    if (!goes_on && options_.sensitivity.empty()) return;
    trail_ = read_trail(goes_on ? options_.trail : options_.sensitivity);
    if (!goes_on) trail_.trials.clear();
  }

  tune::Trail read_trail(const std::string& path) const {
    tune::Trail trail = [&] {
      try {
        return read_json_as(path, [](const Json& json) { return tune::trail_from_json(json); });
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kUsage) throw;
        throw Error(ErrorKind::kUsage, "{}: give another file to begin anew", error.what());
      }
    }();
    tune::Trail now = trail_;
    now.nodes = trail.nodes;
    in_context(path, [&] { tune::check_trail(trail, now); });
    return trail;
  }

  void save_trail() const {
    if (!options_.trail.empty()) write_file(options_.trail, json_text(tune::to_json(trail_)));
  }

  RecoveryRun recovery_run(const graph::Model& model, const plan::PrecisionPlan& plan, const Config& config) const {
    return {.model = model,
            .plan = plan,
            .config = config,
            .data = data_,
            .samples = samples_.calibration,
            .distinct = distinct_,
            .own_ranges = true,
            .held = trail_.held,
            .workers = workers()};
  }

  plan::PrecisionPlan plan_of(const plan::Rules& wanted) const {
    plan::PrecisionPlan plan = plan::make_plan(model_, analysis_, ranges_, wanted);
    plan.model_sha256 = source_.facts.sha256;
    return plan;
  }

  /// The steps that do best for the model as the config says serve every trial. Those that change the float model are
  /// done once, so that trials begin behind them.
  void choose_recovery() {
    const plan::PrecisionPlan plan = plan_of(rules());
    distinct_ =
        stages_.run("samples", [&] { return distinct_samples(*data_.reader, samples_.calibration, workers()); });
    if (!trail_.recovery) {
      const RecoveryOutcome outcome = recover(recovery_run(original_, plan, options_.pipeline.config), stages_);
      trail_.recovery = outcome.written.recovery ? outcome.written.recovery->steps : plan::RecoverySteps{};
      if (outcome.written.recovery) trail_.held = outcome.written.recovery->held;
      warnings_.insert(warnings_.end(), outcome.warnings.begin(), outcome.warnings.end());
      save_trail();
    }
    Config before = options_.pipeline.config;
    before.recovery = {.automatic = false, .steps = {}, .seconds = {}};
    for (const plan::RecoveryStep& step : *trail_.recovery) {
      (step.method == plan::RecoveryMethod::kRound ? after_ : before.recovery.steps).push_back(step);
    }
    if (before.recovery.steps.empty()) return;
    const RecoveryOutcome changed = recover(recovery_run(original_, plan, before), stages_);
    if (!harmless(changed.model)) {
      trail_.recovery = after_;
      save_trail();
      return;
    }
    model_ = changed.model;
    analysis_ = analyze::analyze(model_);
    for (const plan::RecoveryStep& step : before.recovery.steps) {
      rules_ = recover::rules_behind(model_, step.inputs, std::move(rules_));
    }
    ranges_ = ranges_in(changed.written, analysis_);
  }

  /// Steps that change the float model hold on the data that chose them; on other data a clamp may cut elsewhere. Where
  /// that alone takes much of the limit, no mixture could keep it.
  bool harmless(const graph::Model& changed) {
    if (tune::limits_price(options_.limit)) return true;
    tune::Goal part = goal();
    if (part.limit == tune::Limit::kDrop) part.value *= kHarmlessShare;
    if (part.limit == tune::Limit::kSqnr) part.value -= 10 * std::log10(kHarmlessShare);
    tune::Measurement alone;
    alone.quality = stages_.run("trial", [&] { return judge_->measure(changed); });
    return tune::keeps(part, alone);
  }

  plan::RecoveryRecord record(const plan::RecoverySteps& steps) const {
    return {.steps = steps,
            .data_sha256 = data_.sha256,
            .samples = static_cast<int64_t>(samples_.calibration.size()),
            .held = trail_.held};
  }

  tune::Space make_space() {
    tune::Space space = stages_.run("space", [&] {
      return tune::make_space({model_, analysis_, ranges_, rules()}, tune::choices_for(options_.limit));
    });
    if (options_.limit != tune::Limit::kBytes) return space;
    // Where an integer layer can be as small, a stored weight only makes it slow.
    for (tune::Item& item : space.items) {
      const bool small = std::any_of(item.options.begin(), item.options.end(),
                                     [](const tune::Option& option) { return option.choice == tune::Choice::kInt4; });
      if (!small) continue;
      std::erase_if(item.options, [](const tune::Option& option) {
        return option.choice == tune::Choice::kStoredInt8 || option.choice == tune::Choice::kStoredInt4;
      });
    }
    return space;
  }

  /// What a layer takes in float32 and on integers, each measured once.
  void time_layers(const validate::Samples& judges, tune::Space& space) {
    std::vector<exec::Feed> feeds;
    for (const int64_t index : spread_indices(judges.count, kTimedSamples)) feeds.push_back(judges.read(index));
    stages_.run("latencies", [&] {
      clock_.emplace(source_.loaded, std::move(feeds));
      clock_->time_options(quantized_model(model_, plan_of(rules())), space);
    });
    // What was measured earlier, on a machine that was faster or slower, is its ratio to the float model.
    const double float_seconds = clock_->float_seconds();
    const double since = trail_.float_seconds ? float_seconds / *trail_.float_seconds : 1;
    trail_.float_seconds = float_seconds;
    for (tune::Trial& trial : trail_.trials) {
      if (!trial.measurement.seconds) continue;
      *trial.measurement.seconds *= since;
      seconds_.emplace(trial.choices, *trial.measurement.seconds);
    }
  }

  /// Recovery does not change it. Measured once for each mixture, so that a search does not contradict itself.
  double seconds_of(const std::vector<tune::Choice>& choices) {
    if (const auto found = seconds_.find(choices); found != seconds_.end()) return found->second;
    const double seconds =
        stages_.run("latencies", [&] { return clock_->seconds(quantized_model(model_, plan_of(choices))); });
    return seconds_[choices] = seconds;
  }

  double bytes_of(const std::vector<tune::Choice>& choices) const {
    return static_cast<double>(io::saved_bytes(quantized_model(model_, plan_of(choices))));
  }

  void check_nodes(const tune::Space& space) {
    nodes_ = space.nodes();
    tune::Trail now = trail_;
    now.nodes = nodes_;
    in_context(options_.trail.empty() ? options_.sensitivity : options_.trail, [&] { tune::check_trail(trail_, now); });
    trail_.nodes = nodes_;
  }

  void measure_sensitivity(const tune::Space& space) {
    std::vector<int64_t> chosen;
    const auto size = static_cast<int64_t>(samples_.calibration.size());
    for (const int64_t index : spread_indices(size, kSensitivitySamples)) {
      chosen.push_back(samples_.calibration[static_cast<size_t>(index)]);
    }
    const recover::Samples samples{.count = static_cast<int64_t>(chosen.size()), .read = [&](int64_t index) {
                                     return data_.reader->read(chosen[static_cast<size_t>(index)]);
                                   }};
    tune::SensitivityOptions options{.workers = workers(), .keep = {}, .progress = stages_.progress()};
    options.keep = [&](const tune::Sensitivity& known) {
      trail_.sensitivity = known;
      save_trail();
    };
    trail_.sensitivity = stages_.run("sensitivity", [&] {
      return tune::measure_sensitivity(model_, space.components, samples, trail_.sensitivity, options);
    });
    save_trail();
    if (options_.sensitivity_out.empty()) return;
    tune::Trail table = trail_;
    table.trials.clear();
    write_file(options_.sensitivity_out, json_text(tune::to_json(table)));
  }

  plan::PrecisionPlan plan_of(const std::vector<tune::Choice>& choices) const {
    return plan_of(tune::rules_for(rules(), nodes_, choices));
  }

  tune::Measurement measure(const std::vector<tune::Choice>& choices) {
    plan::PrecisionPlan plan = plan_of(choices);
    graph::Model quantized = [&] {
      if (after_.empty() || !rounds_products(plan)) return quantized_model(model_, plan);
      plan.recovery = record(after_);
      const RecoveryOutcome outcome = repeat_recovery(recovery_run(model_, plan, options_.pipeline.config), stages_);
      return quantized_model(outcome.model, outcome.applied);
    }();
    return {.quality = stages_.run("trial", [&] { return judge_->measure(quantized); }),
            .bytes = io::saved_bytes(quantized),
            .seconds = clock_ ? std::optional(seconds_of(choices)) : std::nullopt};
  }

  tune::Goal goal() const {
    double value = options_.value;
    if (options_.limit == tune::Limit::kBytes) value *= static_cast<double>(source_.facts.file_bytes);
    if (options_.limit == tune::Limit::kSeconds) {
      value = options_.speedup ? clock_->float_seconds() / value : value * 1e-3;
    }
    return {.limit = options_.limit, .value = value};
  }

  tune::SearchResult search(const tune::Space& space) {
    const tune::NoiseModel noise(space, trail_.sensitivity, tune::weights_for(options_.limit));
    tune::SearchHooks hooks;
    hooks.measure = [&](const std::vector<tune::Choice>& choices) { return measure(choices); };
    hooks.price = [&](const std::vector<tune::Choice>& choices) {
      return clock_ ? seconds_of(choices) : bytes_of(choices);
    };
    hooks.on_trial = [&](const tune::Trial& trial) {
      trail_.trials.push_back(trial);
      save_trail();
      const tune::Quality& quality = trial.measurement.quality;
      spdlog::info("{}: drop {:.3f} (expected {:.3f}, up to {:.3f}), {:.2f} +- {:.2f} dB, {} bytes{}", trial.step,
                   quality.drop, quality.expected_drop, quality.most_drop, quality.sqnr_db, quality.sqnr_error,
                   trial.measurement.bytes, trial.kept ? ", kept" : "");
    };
    return tune::search(space, noise, goal(), hooks,
                        {.trials = options_.trials, .seconds = options_.seconds, .known = trail_.trials});
  }

  TuneLimit limit() const {
    const bool labelled = !options_.pipeline.labels.empty();
    const Lost scores = judge_->has_scores() ? Lost::kAgreement : Lost::kCosine;
    return {.limit = options_.limit,
            .value = options_.value,
            .speedup = options_.speedup,
            .lost = labelled ? Lost::kTop1 : scores};
  }

  TuneOutcome finish(const tune::Space& space, const tune::SearchResult& found) {
    const tune::Trial& best = found.trials[found.best];
    PipelineOptions pipeline = options_.pipeline;
    pipeline.decided =
        DecidedPlan{.plan = plan_of(best.choices), .calibration = samples_.calibration, .judges = samples_.judges};
    plan::PrecisionPlan& plan = pipeline.decided->plan;
    plan::RecoverySteps steps = *trail_.recovery;
    if (!rounds_products(plan)) {
      std::erase_if(steps, [](const auto& step) { return step.method == plan::RecoveryMethod::kRound; });
    }
    if (!steps.empty()) plan.recovery = record(steps);
    if (!pipeline.evaluation.empty()) pipeline.labels.clear();
    TuneOutcome outcome{
        .report = run_pipeline(pipeline, stages_),
        .kept = found.kept,
        .interrupted = found.interrupted,
        .nearest = nearest_text(limit(), best.measurement,
                                {.bytes = source_.facts.file_bytes, .seconds = clock_ ? clock_->float_seconds() : 0})};
    report::Report& report = outcome.report;
    report.command = "tune";
    report.recipe = recipe_text(options_.pipeline.config.rules) + fmt::format(", tuned: {}", limit_text(limit()));
    report.tuning = tune_facts({.limit = limit(),
                                .space = space,
                                .found = found,
                                .sensitivity = trail_.sensitivity,
                                .samples = judge_->samples()});
    report.warnings.insert(report.warnings.begin(), warnings_.begin(), warnings_.end());
    if (auto broken = found.kept && report.validation ? broken_promise(limit(), *report.validation) : std::nullopt) {
      spdlog::warn("{}", *broken);
      report.warnings.push_back(std::move(*broken));
    }
    if (found.out_of_budget) report.notes.push_back("the search ended with its budget: more trials may find better");
    if (found.interrupted) report.notes.push_back("the search was interrupted: this is the best until then");
    report.stages = stages_.times();
    return outcome;
  }

  const TuneOptions& options_;
  Stages& stages_;
  plan::Rules rules_;  // those of the config, and of nodes that recovery steps add
  ModelSource source_;
  DataSource data_;
  TuneSamples samples_;
  std::vector<int64_t> distinct_;  // of those that calibrate: every trial's recovery wants them
  graph::Model original_;          // normalized
  graph::Model model_;             // the same behind the recovery steps that change float models
  analyze::Analysis analysis_;
  plan::Ranges ranges_;
  plan::RecoverySteps after_;  // recovery steps of each trial
  std::vector<std::string> nodes_;
  tune::Trail trail_;
  std::optional<tune::Judge> judge_;
  std::optional<tune::Clock> clock_;  // with a limit of time
  std::map<std::vector<tune::Choice>, double> seconds_;
  std::vector<std::string> warnings_;
};

}  // namespace

TuneOutcome run_tune(const TuneOptions& options, Stages& stages) {
  return Tuner(options, stages).run();
}

}  // namespace narrow::apps
