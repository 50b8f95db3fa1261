#include "apps/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "apps/tune_ground.h"
#include "apps/tune_promise.h"
#include "apps/tune_report.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/spread.h"
#include "lib/io/load.h"
#include "lib/tune/clock.h"
#include "lib/tune/judge.h"

namespace narrow::apps {
namespace {

constexpr double kHarmlessShare = 0.25;  // of the limit
constexpr const char* kAsItCame = "model as it came";
constexpr double kNearDecibels = 3;  // what loses more with the changes is hardly the best without
constexpr int64_t kTimedSamples = 8;

bool rounds_products(const plan::PrecisionPlan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(), [](const plan::LayerPlan& layer) {
    return layer.decision == plan::Decision::kQuantize && layer.weight.has_value();
  });
}

class Tuner {
 public:
  Tuner(const TuneOptions& options, Stages& stages)
      : options_(options), stages_(stages), ground_(options.pipeline, stages) {}

  TuneOutcome run() {
    const validate::Samples judges = select_samples(ground_.data(), ground_.samples().judges, options_.pipeline.labels);
    ground_.find_numbers();
    ground_.open_trail(options_.trail, options_.sensitivity);
    judge_.emplace(stages_.run("judges", [&] { return tune::Judge(ground_.source().loaded, judges, workers()); }));
    ground_.choose_recovery([&](const graph::Model& changed) { return harmless(changed); });
    warn_of_few_judges();
    tune::Space space = make_space();
    nodes_ = space.nodes();
    ground_.check_nodes(nodes_);
    if (options_.limit == tune::Limit::kSeconds) time_layers(judges, space);
    ground_.measure_sensitivity(space.components);
    write_sensitivity();
    tune::SearchResult found = search(space);
    leave_changes_out(found);
    return finish(space, found);
  }

 private:
  int workers() const { return options_.pipeline.workers; }
  const plan::Rules& rules() const { return ground_.plan_inputs().rules; }
  tune::Trail& trail() { return ground_.trail(); }

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

  void warn_of_few_judges() {
    new_judges_ = ground_.new_judges();
    if (new_judges_ >= kLeastJudges) return;
    few_judges_ = few_judges_text(limit(), judge_->samples(), new_judges_);
    spdlog::warn("{}", few_judges_);
  }

  tune::Space make_space() {
    return stages_.run("space",
                       [&] { return tune::make_space(ground_.plan_inputs(), tune::choices_for(options_.limit)); });
  }

  /// What a layer takes in float32 and on integers, each measured once.
  void time_layers(const validate::Samples& judges, tune::Space& space) {
    std::vector<exec::Feed> feeds;
    for (const int64_t index : spread_indices(judges.count, kTimedSamples)) feeds.push_back(judges.read(index));
    stages_.run("latencies", [&] {
      clock_.emplace(ground_.source().loaded, std::move(feeds));
      clock_->time_options(quantized_model(ground_.model(), ground_.plan_of(rules())), space);
    });
    // What was measured earlier, on a machine that was faster or slower, is its ratio to the float model.
    const double float_seconds = clock_->float_seconds();
    const double since = trail().float_seconds ? float_seconds / *trail().float_seconds : 1;
    trail().float_seconds = float_seconds;
    for (tune::Trial& trial : trail().trials) {
      if (!trial.measurement.seconds) continue;
      *trial.measurement.seconds *= since;
      seconds_.emplace(trial.choices, *trial.measurement.seconds);
    }
  }

  /// Recovery does not change it. Measured once for each mixture, so that a search does not contradict itself.
  double seconds_of(const std::vector<tune::Choice>& choices) {
    if (const auto found = seconds_.find(choices); found != seconds_.end()) return found->second;
    const double seconds =
        stages_.run("latencies", [&] { return clock_->seconds(quantized_model(ground_.model(), plan_of(choices))); });
    return seconds_[choices] = seconds;
  }

  double bytes_of(const std::vector<tune::Choice>& choices) const {
    return static_cast<double>(io::saved_bytes(quantized_model(ground_.model(), plan_of(choices))));
  }

  void write_sensitivity() {
    if (options_.sensitivity_out.empty()) return;
    tune::Trail table = trail();
    table.trials.clear();
    write_file(options_.sensitivity_out, json_text(tune::to_json(table)));
  }

  plan::PrecisionPlan plan_of(const std::vector<tune::Choice>& choices) const {
    return ground_.plan_of(tune::rules_for(rules(), nodes_, choices));
  }

  tune::Measurement measure(const std::vector<tune::Choice>& choices) {
    plan::PrecisionPlan plan = plan_of(choices);
    graph::Model quantized = [&] {
      if (ground_.repeated_steps().empty() || !rounds_products(plan)) return quantized_model(ground_.model(), plan);
      plan.recovery = ground_.record(ground_.repeated_steps());
      const RecoveryOutcome outcome =
          repeat_recovery(ground_.recovery_run(ground_.model(), plan, options_.pipeline.config), stages_);
      return quantized_model(outcome.model, outcome.applied);
    }();
    return {.quality = stages_.run("trial", [&] { return judge_->measure(quantized); }),
            .bytes = io::saved_bytes(quantized),
            .seconds = clock_ ? std::optional(seconds_of(choices)) : std::nullopt};
  }

  tune::Goal goal() const {
    double value = options_.value;
    if (options_.limit == tune::Limit::kBytes) value *= static_cast<double>(ground_.source().facts.file_bytes);
    if (options_.limit == tune::Limit::kSeconds) {
      value = options_.speedup ? clock_->float_seconds() / value : value * 1e-3;
    }
    tune::Goal goal{.limit = options_.limit, .value = value};
    if (limit().lost == Lost::kAgreement) goal.expected_share = expected_share(options_.value, evaluated_answers());
    return goal;
  }

  /// Class scores of the samples that neither calibrate nor judge, of as many as judge where there are none.
  int64_t evaluated_answers() const {
    const auto used = static_cast<int64_t>(ground_.samples().calibration.size() + ground_.samples().judges.size());
    const int64_t others = ground_.data().reader->size() - used;
    return (others > 0 ? others : judge_->samples()) * judge_->answers() / judge_->samples();
  }

  tune::SearchResult search(const tune::Space& space) {
    const tune::NoiseModel noise(space, trail().sensitivity, tune::weights_for(options_.limit));
    if (options_.limit != tune::Limit::kBytes) return search(space, noise);
    // With layers on integers as far as they serve, if that fits, and without asking for any.
    const tune::NoiseModel bytes_alone(space, trail().sensitivity, tune::kBytesAlone);
    if (bytes_of(tune::choices_of(space, noise.cheapest())) > goal().value) return search(space, bytes_alone);
    tune::SearchResult found = search(space, noise);
    if (found.interrupted || found.out_of_budget) return found;
    tune::SearchResult other = search(space, bytes_alone);
    const auto sqnr = [](const tune::SearchResult& of) { return of.trials[of.best].measurement.quality.sqnr_db; };
    if (other.kept && (!found.kept || sqnr(other) > sqnr(found))) {
      found.best = found.trials.size() + other.best;
      found.kept = true;
    }
    found.trials.insert(found.trials.end(), other.trials.begin(), other.trials.end());
    found.interrupted = other.interrupted;
    found.out_of_budget = other.out_of_budget;
    return found;
  }

  tune::SearchResult search(const tune::Space& space, const tune::NoiseModel& noise) {
    tune::SearchHooks hooks;
    hooks.measure = [&](const std::vector<tune::Choice>& choices) { return measure(choices); };
    hooks.price = [&](const std::vector<tune::Choice>& choices) {
      return clock_ ? seconds_of(choices) : bytes_of(choices);
    };
    hooks.on_trial = [&](const tune::Trial& trial) {
      trail().trials.push_back(trial);
      ground_.save_trail();
      log(trial);
    };
    return tune::search(space, noise, goal(), hooks,
                        {.trials = options_.trials, .seconds = options_.seconds, .known = trail().trials});
  }

  static void log(const tune::Trial& trial) {
    const tune::Quality& quality = trial.measurement.quality;
    spdlog::info("{}: drop {:.3f} (expected {:.3f}, up to {:.3f}), {:.2f} +- {:.2f} dB, {} bytes{}", trial.step,
                 quality.drop, quality.expected_drop, quality.most_drop, quality.sqnr_db, quality.sqnr_error,
                 trial.measurement.bytes, trial.kept ? ", kept" : "");
  }

  TuneLimit limit() const {
    const bool labelled = !options_.pipeline.labels.empty();
    const Lost scores = judge_->has_scores() ? Lost::kAgreement : Lost::kCosine;
    return {.limit = options_.limit,
            .value = options_.value,
            .speedup = options_.speedup,
            .lost = labelled ? Lost::kTop1 : scores};
  }

  /// Steps that change the float model serve layers on integers. Where a file or a run may be so large that few or none
  /// are left, what the clamps of these steps cut off on other data is the larger loss, and hides what mixtures differ
  /// in: those that come near the best are tried on the model as it came too.
  void leave_changes_out(tune::SearchResult& found) {
    if (!tune::limits_price(options_.limit) || ground_.changes().empty() || found.interrupted) return;
    const double with_changes = found.trials[found.best].measurement.quality.sqnr_db;
    std::set<std::vector<tune::Choice>> mixtures;
    for (const tune::Trial& trial : found.trials) {
      const bool near = trial.measurement.quality.sqnr_db > with_changes - kNearDecibels;
      if (trial.kept && near) mixtures.insert(trial.choices);
    }
    const auto seconds = std::exchange(seconds_, {});
    ground_.use_changes(false);
    std::vector<tune::Trial> tried;
    try {
      for (const auto& choices : mixtures) {
        tried.push_back({.choices = choices, .measurement = measure(choices), .step = kAsItCame, .kept = false});
        tried.back().kept = tune::keeps(goal(), tried.back().measurement);
        log(tried.back());
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      found.interrupted = true;
    }
    const auto best = best_in_room(tried);
    const bool better = best && tried[*best].measurement.quality.sqnr_db > with_changes;
    if (better) found.best = found.trials.size() + *best;
    found.trials.insert(found.trials.end(), tried.begin(), tried.end());
    ground_.use_changes(!better);
    if (!better) seconds_ = seconds;
  }

  /// Of those that the judges can not tell from the best the one that uses most of what it may: that there is room for
  /// more is what the prediction has for it.
  static std::optional<size_t> best_in_room(const std::vector<tune::Trial>& trials) {
    std::optional<size_t> best;
    const auto quality = [&](size_t i) -> const tune::Quality& { return trials[i].measurement.quality; };
    for (size_t i = 0; i < trials.size(); ++i) {
      if (trials[i].kept && (!best || quality(i).sqnr_db > quality(*best).sqnr_db)) best = i;
    }
    if (!best) return best;
    const double least = quality(*best).sqnr_db - quality(*best).sqnr_error;
    for (size_t i = 0; i < trials.size(); ++i) {
      if (!trials[i].kept || quality(i).sqnr_db < least) continue;
      if (trials[i].measurement.bytes > trials[*best].measurement.bytes) best = i;
    }
    return best;
  }

  /// What was searched for long is not lost by an interruption: the rest takes little, and a second one ends it at
  /// once.
  TuneOutcome finish(const tune::Space& space, const tune::SearchResult& found) {
    const FinishingScope finishing;
    const tune::Trial& best = found.trials[found.best];
    PipelineOptions pipeline = options_.pipeline;
    pipeline.decided = DecidedPlan{.plan = plan_of(best.choices),
                                   .calibration = ground_.samples().calibration,
                                   .judges = ground_.samples().judges};
    plan::PrecisionPlan& plan = pipeline.decided->plan;
    plan::RecoverySteps steps = ground_.steps();
    if (!rounds_products(plan)) {
      std::erase_if(steps, [](const auto& step) { return step.method == plan::RecoveryMethod::kRound; });
    }
    if (!steps.empty()) plan.recovery = ground_.record(steps);
    if (!pipeline.evaluation.empty()) pipeline.labels.clear();
    TuneOutcome outcome{.report = run_pipeline(pipeline, stages_),
                        .kept = found.kept,
                        .nearest = nearest_text(limit(), best.measurement,
                                                {.bytes = ground_.source().facts.file_bytes,
                                                 .seconds = clock_ ? clock_->float_seconds() : 0})};
    report::Report& report = outcome.report;
    report.command = "tune";
    report.recipe = recipe_text(options_.pipeline.config.rules) + fmt::format(", tuned: {}", limit_text(limit()));
    report.tuning = tune_facts({.limit = limit(),
                                .space = space,
                                .found = found,
                                .sensitivity = trail().sensitivity,
                                .samples = judge_->samples(),
                                .new_samples = new_judges_});
    report.warnings.insert(report.warnings.begin(), ground_.warnings().begin(), ground_.warnings().end());
    if (!few_judges_.empty()) report.warnings.push_back(few_judges_);
    if (auto broken = found.kept && report.validation ? broken_promise(limit(), *report.validation) : std::nullopt) {
      spdlog::warn("{}", *broken);
      report.warnings.push_back(std::move(*broken));
    }
    if (best.step == kAsItCame) {
      report.notes.push_back(fmt::format("recovery's {} left out: this mixture loses less without", ground_.changes()));
    }
    if (found.out_of_budget) report.notes.push_back("the search ended with its budget: more trials may find better");
    if (found.interrupted) report.notes.push_back("the search was interrupted: this is the best until then");
    report.stages = stages_.times();
    outcome.interrupted = finishing.interrupted();
    return outcome;
  }

  const TuneOptions& options_;
  Stages& stages_;
  TuneGround ground_;
  std::vector<std::string> nodes_;
  std::optional<tune::Judge> judge_;
  int64_t new_judges_ = 0;            // that are no copies
  std::string few_judges_;            // what to say of it
  std::optional<tune::Clock> clock_;  // with a limit of time
  std::map<std::vector<tune::Choice>, double> seconds_;
};

}  // namespace

TuneOutcome run_tune(const TuneOptions& options, Stages& stages) {
  return Tuner(options, stages).run();
}

}  // namespace narrow::apps
