#include "apps/recovery_steps.h"

#include <algorithm>

#include "apps/calibration.h"
#include "apps/range_room.h"
#include "lib/analyze/analyze.h"
#include "lib/recover/absorb.h"
#include "lib/recover/align.h"
#include "lib/recover/input_ranges.h"
#include "lib/recover/smooth.h"

namespace narrow::apps {
namespace {

constexpr recover::LayerRowLimits kTrialRows{.least = 4000, .per_column = 8};

void give_room(const RangeRoom& room, const std::vector<std::string>& values, const analyze::Analysis& analysis,
               plan::Ranges& ranges) {
  for (const std::string& value : values) {
    const auto group = analysis.group_of.find(value);
    if (group == analysis.group_of.end()) continue;
    const auto found = ranges.find(analysis.groups[group->second].representative);
    if (found != ranges.end()) found->second.range = room.widened(value, found->second.range);
  }
}

}  // namespace

plan::RecoverySteps with(plan::RecoverySteps steps, const plan::RecoveryStep& step) {
  const auto at = std::find_if(steps.begin(), steps.end(), [&](const plan::RecoveryStep& other) {
    return plan::stands_before(step.method, other.method);
  });
  steps.insert(at, step);
  return steps;
}

plan::RecoverySteps without(plan::RecoverySteps steps, plan::RecoveryMethod method) {
  std::erase_if(steps, [&](const plan::RecoveryStep& step) { return step.method == method; });
  return steps;
}

Candidate StepRunner::plain() const {
  return {.steps = {}, .model = run_.model, .applied = run_.plan, .written = run_.plan, .layers = {}};
}

std::optional<Candidate> StepRunner::make(const plan::RecoverySteps& steps, const StepOptions& options) {
  const auto round = std::find_if(steps.begin(), steps.end(), [](const plan::RecoveryStep& step) {
    return step.method == plan::RecoveryMethod::kRound;
  });
  const plan::RecoverySteps before(steps.begin(), round);
  Work work{.candidate = plain(), .aligned = {}, .smoothed = {}};
  const bool known = first_ && first_->steps == before && !options.numbers_given;
  if (known) work = first_->work;
  if (!known && !run_steps(before, work, options)) return std::nullopt;
  if (options.trial && !first_) first_ = Made{.steps = before, .work = work};
  if (!run_steps({round, steps.end()}, work, options)) return std::nullopt;
  return std::move(work.candidate);
}

/// False where one of the steps has nothing to do and may not be left out.
bool StepRunner::run_steps(const plan::RecoverySteps& steps, Work& work, const StepOptions& options) {
  for (plan::RecoveryStep step : steps) {
    // A step that does nothing may have left a range or a name behind: it is done on a copy where it may be left out.
    std::optional<Work> before;
    if (options.idle == Idle::kLeftOut) before = work;
    if (run_step(step, work, options)) {
      work.candidate.steps.push_back(std::move(step));
    } else if (before) {
      work = std::move(*before);
    } else {
      return false;
    }
  }
  return settle(work, options);
}

bool StepRunner::run_step(plan::RecoveryStep& step, Work& work, const StepOptions& options) {
  switch (step.method) {
    case plan::RecoveryMethod::kSmooth:
      return smooth(step, work);
    case plan::RecoveryMethod::kAlign:
      // Whether the plan follows shows when it is made: where steps may be left out, at once.
      return align(step, work) && (options.idle == Idle::kRefused || settle(work, options));
    case plan::RecoveryMethod::kEqualize:
      return equalize(step, work);
    case plan::RecoveryMethod::kAbsorb:
      return absorb(work);
    case plan::RecoveryMethod::kRanges:
      return settle(work, options) && (options.numbers_given || ranges(work.candidate));
    case plan::RecoveryMethod::kRound:
      return settle(work, options) && round(work.candidate, options);
  }
  return false;
}

/// Ranges and scales of the model as it is, where they are not given. False where aligned inputs do not get their
/// grids.
bool StepRunner::settle(Work& work, const StepOptions& options) {
  if (!work.stale || options.numbers_given) return true;
  work.candidate.written = new_plan(work, options);
  work.candidate.applied = work.candidate.written;
  work.stale = false;
  return recover::on_grids(work.candidate.written, work.aligned, run_.plan);
}

/// Powers and factors come from all samples that choose, in trials on a part of them too.
bool StepRunner::smooth(plan::RecoveryStep& step, Work& work) {
  return stages_.run("smooth", [&] {
    Candidate& candidate = work.candidate;
    if (step.values.empty()) {
      step.values = recover::search_smoothing(candidate.model, candidate.applied, feeds(fit_),
                                              {.workers = run_.workers, .progress = stages_.progress()});
    }
    if (step.values.empty()) return false;
    graph::Model smoothed = recover::smooth(candidate.model, step.values, feeds(fit_), run_.workers);
    work.smoothed = recover::smoothed_values(candidate.model, smoothed, step.values);
    candidate.model = std::move(smoothed);
    work.stale = true;
    return true;
  });
}

bool StepRunner::align(plan::RecoveryStep& step, Work& work) {
  if (step.inputs.empty()) step.inputs = grids();
  if (step.inputs.empty()) return false;
  work.candidate.model = recover::align(work.candidate.model, step.inputs);
  work.aligned = step.inputs;
  work.stale = true;
  return true;
}

recover::EqualizeResult StepRunner::equalized(const graph::Model& model, const plan::RecoveryStep& step) {
  return recover::equalize(
      model, channels(), {.weight_noise = step.weight_noise, .untouched = untouched(plan::RecoveryMethod::kEqualize)});
}

bool StepRunner::equalize(const plan::RecoveryStep& step, Work& work) {
  recover::EqualizeResult result = equalized(work.candidate.model, step);
  if (result.channels == 0) return false;
  work.candidate.model = std::move(result.model);
  work.stale = true;
  return true;
}

/// Statistics are those of the model as it is: earlier steps scale its channels.
bool StepRunner::absorb(Work& work) {
  return stages_.run("absorb", [&] {
    graph::Model& model = work.candidate.model;
    const std::vector<std::string> values = recover::absorbable_values(model);
    if (values.empty()) return false;
    const recover::ValueChannels seen = recover::observe_channels(model, feeds(fit_), values, run_.workers);
    recover::AbsorbResult result =
        recover::absorb(model, seen, {.untouched = untouched(plan::RecoveryMethod::kAbsorb)});
    if (result.values == 0) return false;
    model = std::move(result.model);
    work.stale = true;
    return true;
  });
}

bool StepRunner::ranges(Candidate& candidate) {
  const auto inputs = stages_.run("ranges", [&] {
    return recover::widen_input_ranges(candidate.model, candidate.written, feeds(fit_), run_.workers);
  });
  candidate.applied = candidate.written;
  return inputs > 0;
}

bool StepRunner::round(Candidate& candidate, const StepOptions& options) {
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
    candidate.overflowed = std::move(result.overflowed);
    candidate.samples = result.samples;
    return !candidate.layers.empty();
  });
}

plan::PrecisionPlan StepRunner::new_plan(const Work& work, const StepOptions& options) {
  const graph::Model& model = work.candidate.model;
  const analyze::Analysis analysis = analyze::analyze(model);
  const plan::Rules rules = recover::rules_behind(model, work.aligned, run_.config.rules);
  const Needs needs = plan::calibration_needs(model, analysis, rules);
  // What the first trial makes is the last candidate's as a rule, and that one's ranges are its own.
  std::optional<plan::Ranges> ranges = options.trial && first_ ? known_ranges(work, needs) : std::nullopt;
  if (!ranges) {
    RangeRoom room(work.smoothed);
    ranges = ranges_of(calibrate({.model = model,
                                  .needs = needs,
                                  .data = &run_.data,
                                  .samples = run_.samples,
                                  .model_sha256 = run_.plan.model_sha256,
                                  .workers = run_.workers,
                                  .watch = work.smoothed.empty() ? nullptr : &room},
                                 stages_));
    give_room(room, work.smoothed, analysis, *ranges);
    recover::set_grids(model, work.aligned, *ranges);
  }
  plan::PrecisionPlan plan = plan::make_plan(model, analysis, *ranges, rules);
  plan.model_sha256 = run_.plan.model_sha256;
  return plan;
}

/// Aligned inputs leave what is behind them as it was, but for float rounding: no run of the model has to tell its
/// ranges. nullopt where other steps changed it too, or some range is of another group of values.
std::optional<plan::Ranges> StepRunner::known_ranges(const Work& work, const Needs& needs) const {
  const plan::RecoverySteps& steps = work.candidate.steps;
  if (!std::all_of(steps.begin(), steps.end(), [](auto& step) { return step.method == plan::RecoveryMethod::kAlign; }))
    return std::nullopt;
  plan::Ranges grids;
  recover::set_grids(work.candidate.model, work.aligned, grids);
  const Needs before = plan::calibration_needs(run_.model, analyze::analyze(run_.model), run_.config.rules);
  plan::Ranges ranges = grids;
  for (const auto& [representative, need] : needs) {
    if (need.sources.empty() || grids.contains(representative)) continue;
    const auto known = run_.ranges.find(representative);
    const auto old = before.find(representative);
    if (known == run_.ranges.end() || old == before.end() || old->second.sources != need.sources) return std::nullopt;
    ranges.insert(*known);
  }
  return ranges;
}

recover::Samples StepRunner::feeds(const std::vector<int64_t>& samples) const {
  return {.count = static_cast<int64_t>(samples.size()), .read = [this, samples](int64_t index) {
            return run_.data.reader->read(samples.at(static_cast<size_t>(index)));
          }};
}

const recover::ValueChannels& StepRunner::channels() {
  if (!channels_) {
    channels_ = stages_.run("channels", [&] {
      if (run_.seen != nullptr) return run_.seen->channels(fit_);
      return recover::observe_channels(run_.model, feeds(fit_), recover::channel_values(run_.model), run_.workers);
    });
  }
  return *channels_;
}

/// Of the model as it came: other steps leave its inputs alone.
const std::vector<plan::AlignedInput>& StepRunner::grids() {
  if (!grids_ && !recover::keeps_rules(run_.config.rules)) grids_.emplace();
  if (!grids_) {
    grids_ =
        stages_.run("align", [&] { return recover::find_grids(run_.model, run_.plan, feeds(fit_), run_.workers); });
  }
  return *grids_;
}

/// Nodes that the method may not change.
std::set<std::string> StepRunner::untouched(plan::RecoveryMethod method) const {
  std::set<std::string> nodes;
  for (const plan::LayerPlan& layer : run_.plan.layers) {
    if (!plan::allows(layer, method)) nodes.insert(layer.node);
  }
  return nodes;
}

bool StepRunner::lies_on_ties() {
  if (!on_ties_) {
    Candidate candidate = plain();
    on_ties_ = ranges(candidate);
  }
  return *on_ties_;
}

bool StepRunner::absorbs() {
  return recover::absorb(run_.model, channels(), {.untouched = untouched(plan::RecoveryMethod::kAbsorb)}).values > 0;
}

bool StepRunner::changes(const plan::RecoveryStep& equalization) {
  const recover::EqualizeResult result = equalized(run_.model, equalization);
  const bool known = std::find(equalized_.begin(), equalized_.end(), result.channels) != equalized_.end();
  if (result.channels == 0 || known) return false;
  equalized_.push_back(result.channels);
  return true;
}

}  // namespace narrow::apps
