#include "lib/plan/mode_refusal.h"

namespace narrow::plan {
namespace {

bool is_byte(quant::QuantType type) {
  return quant::row(type).bits == 8 && !quant::row(type).is_float;
}

}  // namespace

std::optional<Reason> stored_refusal(const LayerScheme& scheme) {
  const bool blocks = scheme.granularity == Granularity::kPerBlock;
  if (scheme.weights != quant::QuantType::kCodebook || !blocks) return std::nullopt;
  return Reason{ReasonCode::kTargetCanNot, "codebooks have scales for each channel, or none (per_tensor), not blocks"};
}

std::optional<Reason> dynamic_refusal(const analyze::Layer& layer, const LayerScheme& scheme) {
  const bool many_zero_points = scheme.granularity == Granularity::kPerChannel && !scheme.weights_symmetric;
  if (layer.op_type == "Conv" && many_zero_points) {
    return Reason{ReasonCode::kTargetCanNot, "a dynamic Conv takes one zero point: symmetric weights, or per_tensor"};
  }
  if (is_byte(scheme.weights) && scheme.granularity != Granularity::kPerBlock) return std::nullopt;
  return Reason{ReasonCode::kTargetCanNot,
                "dynamic products have 8-bit weights, with a scale for each channel or tensor"};
}

}  // namespace narrow::plan
