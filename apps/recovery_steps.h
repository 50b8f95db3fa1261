// Runs recovery's steps over a model; recovery.h chooses which.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "apps/recovery.h"
#include "apps/stages.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/recover/channel_statistics.h"
#include "lib/recover/equalize.h"
#include "lib/recover/layerwise.h"
#include "lib/recover/samples.h"

namespace narrow::apps {

/// A model under trial.
struct Candidate {
  plan::RecoverySteps steps;                  // with what they found
  graph::Model model;                         // float; nearest rounding by `applied` gives what was chosen
  plan::PrecisionPlan applied;                // for `model`
  plan::PrecisionPlan written;                // for the model before weights were rounded
  std::vector<recover::LayerOutcome> layers;  // whose weights were rounded
  std::vector<std::string> overflowed = {};   // nodes whose weights were not, see LayerwiseResult
  int64_t samples = 0;                        // that chose their integers
};

/// `step` where it belongs among `steps`.
plan::RecoverySteps with(plan::RecoverySteps steps, const plan::RecoveryStep& step);
plan::RecoverySteps without(plan::RecoverySteps steps, plan::RecoveryMethod method);

/// What becomes of steps that have nothing to do: no model is made, or one by the others.
enum class Idle { kRefused, kLeftOut };

struct StepOptions {
  std::vector<int64_t> samples;  // that choose weights
  bool trial = false;            // quickly: what it shows is which steps do better
  bool numbers_given = false;    // the plan's ranges and scales are those of the steps' result already
  Idle idle = Idle::kRefused;
};

class StepRunner {
 public:
  /// `fit`: the samples that may choose something. `run` and `stages` must outlive it.
  StepRunner(const RecoveryRun& run, Stages& stages, std::vector<int64_t> fit)
      : run_(run), stages_(stages), fit_(std::move(fit)) {}

  /// No step.
  Candidate plain() const;
  /// nullopt where one of the steps has nothing to do here and may not be left out.
  std::optional<Candidate> make(const plan::RecoverySteps& steps, const StepOptions& options);

  /// Whether some input can be aligned.
  bool has_grids() { return !grids().empty(); }
  /// Whether some input's range would be widened.
  bool lies_on_ties();
  /// Whether something can be absorbed.
  bool absorbs();
  /// Whether an equalization scales channels, and others than those before it.
  bool changes(const plan::RecoveryStep& equalization);

 private:
  /// A candidate and what its plan still owes.
  struct Work {
    Candidate candidate;
    std::vector<plan::AlignedInput> aligned;
    std::vector<std::string> smoothed;  // values that it has
    bool stale = false;                 // its ranges and scales are those of the model before a step
  };

  /// What the steps of the first trial that come before rounding make: as a rule the last candidate has the same.
  struct Made {
    plan::RecoverySteps steps;
    Work work;
  };

  bool run_steps(const plan::RecoverySteps& steps, Work& work, const StepOptions& options);
  recover::Samples feeds(const std::vector<int64_t>& samples) const;
  const recover::ValueChannels& channels();
  const std::vector<plan::AlignedInput>& grids();
  std::set<std::string> untouched(plan::RecoveryMethod method) const;
  bool run_step(plan::RecoveryStep& step, Work& work, const StepOptions& options);
  bool smooth(plan::RecoveryStep& step, Work& work);
  bool align(plan::RecoveryStep& step, Work& work);
  recover::EqualizeResult equalized(const graph::Model& model, const plan::RecoveryStep& step);
  bool equalize(const plan::RecoveryStep& step, Work& work);
  bool absorb(Work& work);
  bool ranges(Candidate& candidate);
  bool round(Candidate& candidate, const StepOptions& options);
  bool settle(Work& work, const StepOptions& options);
  plan::PrecisionPlan new_plan(const Work& work, const StepOptions& options);
  std::optional<plan::Ranges> known_ranges(const Work& work, const std::map<std::string, plan::GroupNeed>& needs) const;

  const RecoveryRun& run_;
  Stages& stages_;
  std::vector<int64_t> fit_;
  std::optional<recover::ValueChannels> channels_;
  std::optional<std::vector<plan::AlignedInput>> grids_;
  std::optional<bool> on_ties_;
  std::optional<Made> first_;
  std::vector<int64_t> equalized_;  // numbers of channels that equalizations scaled
};

}  // namespace narrow::apps
