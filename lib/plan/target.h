// What the runtime that will read the model can compute: a table that the planner reads.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/reason.h"
#include "lib/quant/quant_params.h"

namespace narrow::plan {

struct LayerScheme;

enum class Target { kOnnxruntime, kGeneric };

struct TargetRow {
  Target target;
  std::string_view name;
  std::span<const quant::QuantType> weights;        // of layers on integers; empty: all
  std::span<const quant::QuantType> block_weights;  // ... with a scale for each block; empty: all
  std::span<const quant::QuantType> activations;    // empty: all
  /// Products with 2-bit weights in blocks of a power of two go to a kernel that reads them wrongly.
  bool misreads_two_bit_products = false;
};

std::span<const TargetRow> targets();
const TargetRow& row(Target target);
std::vector<std::string> target_names();

/// Why the target can not run this layer on integers with this scheme; nullopt if it can.
std::optional<Reason> refusal(const TargetRow& target, const analyze::Layer& layer, const LayerScheme& scheme);

/// The groups of a weight that only is stored in fewer bits, as the target reads them rightly: what was asked, or other
/// blocks of nearly the same size.
quant::Grouping adapted(const TargetRow& target, const analyze::Layer& layer, const Shape& weight,
                        const quant::Grouping& asked, quant::QuantType type);

}  // namespace narrow::plan
