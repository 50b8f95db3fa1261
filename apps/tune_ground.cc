#include "apps/tune_ground.h"

#include <algorithm>
#include <filesystem>

#include "apps/calibration.h"
#include "apps/recovery_samples.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/spread.h"
#include "lib/recover/align.h"

namespace narrow::apps {
namespace {

/// Ranges of a plan's values, by group.
plan::Ranges ranges_in(const plan::PrecisionPlan& plan, const analyze::Analysis& analysis) {
  plan::Ranges ranges;
  for (const plan::ValuePlan& value : plan.values) {
    ranges.emplace(analysis.group(value.value).representative,
                   plan::ValueRange{.range = value.range, .calibrator = value.calibrator, .unusable = {}});
  }
  return ranges;
}

const graph::Model& checked(const graph::Model& model) {
  refuse_quantized(model);
  return model;
}

}  // namespace

TuneGround::TuneGround(const PipelineOptions& options, Stages& stages)
    : options_(options),
      stages_(stages),
      source_(open_model(options.model, options.outputs, stages)),
      data_(open_source(options.data, {checked(source_.loaded), options.config.inputs, options.outputs}, stages)),
      samples_(split_samples(data_, options.config.samples)),
      original_{
          .model = normalize(source_.loaded, stages), .analysis = {}, .ranges = {}, .rules = options.config.rules} {}

void TuneGround::find_numbers() {
  original_.analysis = stages_.run("analyze", [&] { return analyze::analyze(original_.model); });
  const Needs needs = plan::calibration_needs(original_.model, original_.analysis, original_.rules);
  const calib::CalibrationTable table = calibrate({.model = original_.model,
                                                   .needs = needs,
                                                   .data = &data_,
                                                   .samples = samples_.calibration,
                                                   .model_sha256 = source_.facts.sha256,
                                                   .workers = options_.workers},
                                                  stages_);
  warnings_ = calibration_warnings(table);
  original_.ranges = ranges_of(table);
}

void TuneGround::open_trail(const std::string& path, const std::string& table) {
  trail_path_ = path;
  trail_.model_sha256 = source_.facts.sha256;
  trail_.data_sha256 = data_.sha256;
  trail_.options = to_json(options_.config);
  trail_.options["labels"] = !options_.labels.empty();
  const bool goes_on = !path.empty() && std::filesystem::exists(path);
  if (!goes_on && table.empty()) return;
  trail_origin_ = goes_on ? path : table;
  trail_ = read_trail(trail_origin_);
  if (!goes_on) trail_.trials.clear();
}

tune::Trail TuneGround::read_trail(const std::string& path) const {
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

void TuneGround::save_trail() const {
  if (!trail_path_.empty()) write_file(trail_path_, json_text(tune::to_json(trail_)));
}

void TuneGround::check_nodes(const std::vector<std::string>& nodes) {
  tune::Trail now = trail_;
  now.nodes = nodes;
  in_context(trail_origin_, [&] { tune::check_trail(trail_, now); });
  trail_.nodes = nodes;
}

RecoveryRun TuneGround::recovery_run(const graph::Model& model, const plan::PrecisionPlan& plan,
                                     const Config& config) const {
  return {.model = model,
          .plan = plan,
          .config = config,
          .data = data_,
          .samples = samples_.calibration,
          .distinct = distinct_,
          .own_ranges = true,
          .held = trail_.held,
          .workers = options_.workers};
}

plan::PrecisionPlan TuneGround::plan_of(const plan::Rules& wanted) const {
  plan::PrecisionPlan plan = plan::make_plan(base().model, base().analysis, base().ranges, wanted);
  plan.model_sha256 = source_.facts.sha256;
  return plan;
}

void TuneGround::choose_recovery(const std::function<bool(const graph::Model& changed)>& harmless) {
  const plan::PrecisionPlan plan = plan_of(original_.rules);
  distinct_ =
      stages_.run("samples", [&] { return distinct_samples(*data_.reader, samples_.calibration, options_.workers); });
  if (!trail_.recovery) {
    const RecoveryOutcome outcome = recover(recovery_run(original_.model, plan, options_.config), stages_);
    trail_.recovery = outcome.written.recovery ? outcome.written.recovery->steps : plan::RecoverySteps{};
    if (outcome.written.recovery) trail_.held = outcome.written.recovery->held;
    warnings_.insert(warnings_.end(), outcome.warnings.begin(), outcome.warnings.end());
    save_trail();
  }
  Config before = options_.config;
  before.recovery = {.automatic = false, .steps = {}, .seconds = {}};
  for (const plan::RecoveryStep& step : *trail_.recovery) {
    (step.method == plan::RecoveryMethod::kRound ? after_ : before.recovery.steps).push_back(step);
  }
  if (before.recovery.steps.empty()) return;
  const RecoveryOutcome changed = recover(recovery_run(original_.model, plan, before), stages_);
  if (!harmless(changed.model)) {
    trail_.recovery = after_;
    trail_.sensitivity.clear();  // a table that came from elsewhere is that of the changed model
    save_trail();
    return;
  }
  before_ = before.recovery.steps;
  changed_ = Base{.model = changed.model, .analysis = {}, .ranges = {}, .rules = original_.rules};
  changed_->analysis = analyze::analyze(changed_->model);
  for (const plan::RecoveryStep& step : before_) {
    changed_->rules = recover::rules_behind(changed_->model, step.inputs, std::move(changed_->rules));
  }
  changed_->ranges = ranges_in(changed.written, changed_->analysis);
}

std::string TuneGround::changes() const {
  return before_.empty() ? "" : plan::recovery_text(before_);
}

plan::RecoverySteps TuneGround::steps() const {
  return changes_used_ ? *trail_.recovery : after_;
}

plan::RecoveryRecord TuneGround::record(const plan::RecoverySteps& steps) const {
  return {.steps = steps,
          .data_sha256 = data_.sha256,
          .samples = static_cast<int64_t>(samples_.calibration.size()),
          .held = trail_.held};
}

int64_t TuneGround::new_judges() const {
  std::vector<int64_t> samples = samples_.calibration;
  samples.insert(samples.end(), samples_.judges.begin(), samples_.judges.end());
  const std::vector<int64_t> all =
      stages_.run("samples", [&] { return distinct_samples(*data_.reader, samples, options_.workers); });
  return static_cast<int64_t>(all.size() - distinct_.size());
}

std::vector<int64_t> TuneGround::some_calibration(int64_t count) const {
  std::vector<int64_t> chosen;
  for (const int64_t index : spread_indices(static_cast<int64_t>(samples_.calibration.size()), count)) {
    chosen.push_back(samples_.calibration[static_cast<size_t>(index)]);
  }
  return chosen;
}

void TuneGround::measure_sensitivity(const std::vector<tune::Component>& components) {
  const std::vector<int64_t> chosen = some_calibration(kTensorSamples);
  const recover::Samples samples{.count = static_cast<int64_t>(chosen.size()), .read = [&](int64_t index) {
                                   return data_.reader->read(chosen[static_cast<size_t>(index)]);
                                 }};
  tune::SensitivityOptions options{.workers = options_.workers, .keep = {}, .progress = stages_.progress()};
  options.keep = [&](const tune::Sensitivity& known) {
    trail_.sensitivity = known;
    save_trail();
  };
  trail_.sensitivity = stages_.run("sensitivity", [&] {
    return tune::measure_sensitivity(model(), components, samples, trail_.sensitivity, options);
  });
  save_trail();
}

}  // namespace narrow::apps
