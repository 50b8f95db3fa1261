// The recovery stage: tries what may bring accuracy back, keeps what measurably does.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/float_runs.h"
#include "apps/stages.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/report/report.h"

namespace narrow::apps {

struct RecoveryRun {
  const graph::Model& model;  // normalized
  const plan::PrecisionPlan& plan;
  const Config& config;
  const DataSource& data;
  std::vector<int64_t> samples;                       // calibration's
  std::optional<std::vector<int64_t>> distinct = {};  // of these the distinct_samples(), where they are known already
  plan::Ranges ranges = {};                           // that calibration found for the model; may be left empty
  const FloatRuns* seen = nullptr;  // what calibration saw of these samples; else recovery runs the float model itself
  bool own_ranges = true;           // ranges come from these samples; else from a table, and stay as they are
  int64_t held = plan::kHeldFirst;  // the quarter of the samples that judges first
  int workers = 1;
};

struct RecoveryOutcome {
  graph::Model model;           // float, normalized; nearest rounding by `applied` gives what was chosen
  plan::PrecisionPlan applied;  // for `model`
  plan::PrecisionPlan written;  // for the normalized model that it began with, with a record of the steps
  std::optional<report::RecoveryFacts> facts;
  std::vector<std::string> warnings;
};

/// For calibration over these samples to take down what recovery wants to know; null where it will not want anything.
std::unique_ptr<FloatRuns> watch_for_recovery(const graph::Model& model, const RecoveryConfig& config,
                                              const std::vector<int64_t>& samples);

/// By the config: what gains most, nothing, or its steps. The automatic choice is never worse than nearest rounding on
/// the samples that are held apart to judge.
RecoveryOutcome recover(const RecoveryRun& run, Stages& stages);

/// How messages about a plan whose data are not there end: its other numbers hold for the model as it came only where
/// nothing but weights was rounded.
std::string without_recovery(const plan::RecoveryRecord& record);

/// The steps that a plan records, with its numbers. Throws Error(kUsage) if the data are not those of the plan.
RecoveryOutcome repeat_recovery(const RecoveryRun& run, Stages& stages);

}  // namespace narrow::apps
