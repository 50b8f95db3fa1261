// Which layers run on integers, which clamps vanish and which values are quantized. Everything but the numbers.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/plan/plan.h"

namespace narrow::plan {

struct Decided {
  std::vector<LayerPlan> layers;   // without weight parameters
  std::vector<Resolved> resolved;  // by layer
  Target target = Target::kOnnxruntime;
  FileForm form;
  /// Groups that are quantized, by index into Analysis::groups -> layer (index) whose scheme they take.
  std::map<size_t, size_t> groups;
};

/// `unusable`: groups (by representative) without a usable range, with the reason.
Decided decide(const graph::Model& model, const analyze::Analysis& analysis, const Rules& rules,
               const std::map<std::string, Reason>& unusable);

/// The bounds of an operator whose output range is fixed, if the group's statistics need no data for that.
std::optional<quant::Range> known_range(const graph::Model& model, const graph::GraphIndex& index,
                                        const analyze::Analysis& analysis, const analyze::ValueGroup& group);

}  // namespace narrow::plan
