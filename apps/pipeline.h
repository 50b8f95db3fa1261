// Float model and data in, quantized model and report out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/paths.h"
#include "apps/stages.h"
#include "calib/calibration_table.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/report/report.h"

namespace narrow::apps {

/// A plan that another stage has made, and the samples that it is made from.
struct DecidedPlan {
  plan::PrecisionPlan plan;
  std::vector<int64_t> calibration;  // of the data
  std::vector<int64_t> judges;       // of the data: they chose between plans, so they do not evaluate
};

struct PipelineOptions {
  Config config;
  std::string model;
  std::string output;
  std::string data;                    // may be empty when ranges or plan come from a file
  std::string evaluation;              // "": what calibration left of `data`
  std::string labels;                  // of the evaluation data
  std::string calibration;             // calibration table to take ranges from
  std::string plan;                    // plan to take as it is
  std::optional<DecidedPlan> decided;  // the same, not from a file
  std::string calibration_out;
  std::string plan_out;
  std::vector<NamedPath> outputs;  // all that the command writes, reports too: none of them may be an input
  int workers = 1;
  bool speed = true;
};

/// Runs every stage and writes the model (and the table and plan that were asked for); reports and gates are judged by
/// the caller, so that they are written whatever the gates say.
report::Report run_pipeline(const PipelineOptions& options, Stages& stages);

struct ValidateRun {
  const graph::Model& float_model;
  const graph::Model& quantized;
  const DataSource& data;
  std::vector<int64_t> samples;
  std::string labels;
  int workers = 1;
  bool speed = true;
  int64_t check_samples = 0;  // see ValidateOptions
};

/// The validation stage, also of its own.
validate::Validation run_validation(ValidateRun run, Stages& stages);

/// The plan applied to the (normalized) model it was made for, shapes inferred: with Q/DQ pairs, and inputs and outputs
/// as the float model has them.
graph::Model quantized_model(const graph::Model& model, const plan::PrecisionPlan& plan);

/// The same in the form that the plan wants of the file.
struct WrittenModel {
  graph::Model model;
  std::vector<std::string> notes;  // what is not in that form, for people
};
WrittenModel written_model(const graph::Model& model, const plan::PrecisionPlan& plan);

/// Refuses a model that holds QuantizeLinear already.
void refuse_quantized(const graph::Model& model);

}  // namespace narrow::apps
