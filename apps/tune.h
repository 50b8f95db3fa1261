// The mixed-precision search over a model and its data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/pipeline.h"
#include "apps/stages.h"
#include "lib/report/report.h"
#include "lib/tune/search.h"

namespace narrow::apps {

struct TuneOptions {
  /// `plan` and `calibration` are not used; `labels` are of `data`, and of what it leaves for the evaluation.
  PipelineOptions pipeline;
  tune::Limit limit = tune::Limit::kDrop;
  double value = 0;      // points, dB, milliseconds, or the ratio of the file to the float model's
  bool speedup = false;  // with Limit::kSeconds: `value` is how many times as fast as the float model
  int64_t trials = 16;
  std::optional<double> seconds;
  std::string trail;            // file to go on from and to keep up; "": none
  std::string sensitivity;      // trail file to take the table from; "": measure
  std::string sensitivity_out;  // "": do not write
};

struct TuneOutcome {
  report::Report report;
  bool kept = false;
  bool interrupted = false;  // in the search or behind it
  std::string nearest;       // how near it came, for people
};

/// Searches, then writes model and plan of the best assignment through the pipeline.
TuneOutcome run_tune(const TuneOptions& options, Stages& stages);

}  // namespace narrow::apps
