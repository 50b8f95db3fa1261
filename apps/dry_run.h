// What a plan will cost, before any calibration; and which rule decided about one node.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/json.h"
#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"
#include "lib/report/document.h"
#include "lib/validate/validate.h"

namespace narrow::apps {

/// What one sample takes on this machine, layer by layer.
struct MeasuredSpeed {
  std::string isa;
  int threads = 1;
  bool random = true;  // run on random numbers
  std::vector<validate::LayerLatency> layers;

  double float_seconds() const;  // sums over the layers
  double integer_seconds() const;
};

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
  std::optional<MeasuredSpeed> speed = {};     // asked for: see measure_layers
};

/// Plans and rewrites the normalized model in memory with ranges that are made up: the size of a file does not depend
/// on them, but for scales that happen to be equal and clamps that fold.
DryRun dry_run(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
               int64_t float_bytes);

/// Times each layer of the user's model and of the model that the plan makes of the normalized one, on our runtime.
/// What the integers are does not matter to the time, so the made-up ranges do.
MeasuredSpeed measure_layers(const graph::Model& loaded, const graph::Model& model, const plan::PrecisionPlan& plan,
                             const std::vector<exec::Feed>& feeds);

Json to_json(const DryRun& run);
report::Document to_document(const DryRun& run, const std::string& model);

/// What became of a node of the file that is no layer; nullopt for any other.
std::optional<report::Document> explain_prepared(const std::vector<plan::PreparedNodes>& prepared,
                                                 const std::string& node);

/// The layer's decision and reason, its settings, and what each rule that matched changed, in order. Throws
/// Error(kUsage) for an unknown node, with a suggestion.
report::Document explain(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
                         const std::string& node);

}  // namespace narrow::apps
