// What a plan will cost, before any calibration; and which rule decided about one node.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "lib/analyze/analyze.h"
#include "lib/base/json.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/report/document.h"

namespace narrow::apps {

/// Weights of one type.
struct WeightSizes {
  int64_t layers = 0;
  int64_t float_bytes = 0;
  int64_t bytes = 0;  // with scales, zero points and codebooks
};

struct DryRun {
  int64_t float_bytes = 0;                     // of the user's file
  int64_t file_bytes = 0;                      // predicted
  std::map<std::string, int64_t> macs;         // by how they are computed: "int8 x uint8", "float32"; per sample
  std::map<std::string, WeightSizes> weights;  // by the type that they are stored in
  plan::PrecisionPlan plan;                    // its ranges are made up; decisions and reasons are as they will be
};

/// Plans and rewrites the normalized model in memory with ranges that are made up: the size of a file does not depend
/// on them, but for scales that happen to be equal and clamps that fold.
DryRun dry_run(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
               int64_t float_bytes);

Json to_json(const DryRun& run);
report::Document to_document(const DryRun& run, const std::string& model);

/// The layer's decision and reason, its settings, and what each rule that matched changed, in order. Throws
/// Error(kUsage) for an unknown node, with a suggestion.
report::Document explain(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
                         const std::string& node);

}  // namespace narrow::apps
