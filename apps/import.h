// onnxruntime's quantization settings as our own: a config and a calibration table for one model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "apps/onnxruntime_files.h"
#include "calib/calibration_table.h"
#include "lib/analyze/analyze.h"
#include "lib/base/json.h"
#include "lib/graph/model.h"
#include "lib/plan/rules.h"

namespace narrow::apps {

/// What settings are about.
struct ImportSubject {
  const graph::Model& loaded;  // the user's
  const graph::Model& model;   // normalized
  const analyze::Analysis& analysis;
};

struct Imported {
  Json rules = Json::array();
  std::map<std::string, quant::Range> ranges;  // of single activations, by value
  std::vector<std::string> notes;              // what needs no equivalent, and why
};

/// A rule for each node that stays float. Throws Error(kUsage) for a node that the model does not have, with a
/// suggestion.
void import_exclusions(const std::vector<std::string>& nodes, const std::string& source, const ImportSubject& subject,
                       Imported& imported);

/// Rules for weights and activations, ranges for activations. Throws Error(kUsage) for what can not be said in rules.
void import_overrides(const std::map<std::string, TensorOverride>& overrides, const ImportSubject& subject,
                      Imported& imported);

/// The ranges that a plan with these rules needs. Throws Error(kUsage) naming values that have none.
calib::CalibrationTable import_ranges(const TensorRanges& ranges, const ImportSubject& subject,
                                      const plan::Rules& rules, Imported& imported);

}  // namespace narrow::apps
