// What a sensitivity table and a search begin with.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/data_source.h"
#include "apps/model_source.h"
#include "apps/pipeline.h"
#include "apps/recovery.h"
#include "apps/stages.h"
#include "apps/tune_samples.h"
#include "lib/analyze/analyze.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/tune/sensitivity.h"
#include "lib/tune/trail.h"

namespace narrow::apps {

/// Calibration samples that components are measured on, at most.
inline constexpr int64_t kTensorSamples = 16;

/// A model and its data: split, calibrated, and behind the recovery steps that change float models. What took long to
/// find out is kept in a trail.
class TuneGround {
 public:
  /// Opens and checks both. `options` and `stages` must outlive it. Throws Error as quantize does.
  TuneGround(const PipelineOptions& options, Stages& stages);

  /// Calibrates.
  void find_numbers();

  /// Where what is found out is kept up from now on ("": nowhere), and which file it goes on from: that one if it
  /// exists, else `table` ("": none), without its trials. Throws Error(kUsage) for a file of another model, data or
  /// options.
  void open_trail(const std::string& path, const std::string& table);
  void save_trail() const;
  tune::Trail& trail() { return trail_; }
  /// The layers of the space stand in the trail by name. Throws Error(kUsage) if it has others.
  void check_nodes(const std::vector<std::string>& nodes);

  /// The steps that do best for the model as the config says serve every mixture. Those that change the float model are
  /// done once; not at all where `harmless`, asked of the changed model, says no.
  void choose_recovery(const std::function<bool(const graph::Model& changed)>& harmless);

  /// Adds the rows of components that the trail lacks.
  void measure_sensitivity(const std::vector<tune::Component>& components);

  const ModelSource& source() const { return source_; }
  const DataSource& data() const { return data_; }
  const TuneSamples& samples() const { return samples_; }
  /// Of the calibration samples, spread.
  std::vector<int64_t> some_calibration(int64_t count) const;
  /// Normalized, behind the recovery steps that change it.
  const graph::Model& model() const { return base().model; }
  /// Rules are those of the config, and of nodes that recovery steps add.
  tune::PlanInputs plan_inputs() const { return {base().model, base().analysis, base().ranges, base().rules}; }
  plan::PrecisionPlan plan_of(const plan::Rules& wanted) const;
  /// Recovery steps that change the float model, "" where none did; and whether what is asked for from now on is behind
  /// them or of the model as it came. The trail does not tell.
  std::string changes() const;
  void use_changes(bool used) { changes_used_ = used; }
  /// What makes a mixture from the model as it came: the changes, if used, and what each mixture repeats.
  plan::RecoverySteps steps() const;
  /// Recovery steps that each mixture repeats.
  const plan::RecoverySteps& repeated_steps() const { return after_; }
  plan::RecoveryRecord record(const plan::RecoverySteps& steps) const;
  RecoveryRun recovery_run(const graph::Model& model, const plan::PrecisionPlan& plan, const Config& config) const;
  /// How many judges differ from each other and from all samples that calibrate: copies of those tell nothing new.
  int64_t new_judges() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  /// A model that mixtures can be made from.
  struct Base {
    graph::Model model;
    analyze::Analysis analysis;
    plan::Ranges ranges;
    plan::Rules rules;
  };

  tune::Trail read_trail(const std::string& path) const;
  const Base& base() const { return changed_ && changes_used_ ? *changed_ : original_; }

  const PipelineOptions& options_;
  Stages& stages_;
  ModelSource source_;
  DataSource data_;
  TuneSamples samples_;
  std::vector<int64_t> distinct_;  // of those that calibrate: every mixture's recovery wants them
  Base original_;                  // normalized
  std::optional<Base> changed_;    // behind recovery steps that change the float model
  bool changes_used_ = true;
  plan::RecoverySteps before_;  // those steps
  plan::RecoverySteps after_;
  tune::Trail trail_;
  std::string trail_path_;
  std::string trail_origin_;  // the file that it went on from
  std::vector<std::string> warnings_;
};

}  // namespace narrow::apps
