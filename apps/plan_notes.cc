#include "apps/plan_notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "lib/base/reason.h"
#include "lib/report/format.h"

namespace narrow::apps {

std::optional<std::string> nothing_quantized(const plan::PrecisionPlan& plan) {
  std::map<std::pair<bool, ReasonCode>, std::vector<std::string>> texts;  // those that follow from neighbours' first
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.decision != plan::Decision::kFloat) return std::nullopt;
    if (!layer.reason) continue;
    texts[{layer.reason->code != ReasonCode::kNeighbourFloat, layer.reason->code}].push_back(layer.reason->text());
  }
  std::string text = fmt::format("nothing was quantized: of {} none runs on integers",
                                 report::plural(static_cast<int64_t>(plan.layers.size()), "node"));
  const auto most = std::max_element(texts.begin(), texts.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.first, a.second.size()) < std::pair(b.first.first, b.second.size());
  });
  if (most != texts.end()) text += fmt::format("; the reason for {}: {}", most->second.size(), most->second.front());
  return text;
}

std::vector<std::string> integer_io_notes(const plan::PrecisionPlan& plan) {
  std::vector<std::string> notes;
  for (const plan::ValuePlan& value : plan.values) {
    const auto& names = plan.form.integer_io;
    if (std::find(names.begin(), names.end(), value.value) == names.end()) continue;
    notes.push_back(fmt::format("'{}' is {} in the file, scale {}, zero point {}", value.value,
                                quant::name(value.params.type), value.params.scales[0], value.params.zero_points[0]));
  }
  return notes;
}

std::vector<std::string> adaptation_notes(const plan::PrecisionPlan& plan) {
  std::map<std::string, int64_t> reasons;
  for (const plan::LayerPlan& layer : plan.layers) {
    for (const std::string& reason : layer.adapted) ++reasons[reason];
  }
  std::vector<std::string> notes;
  for (const auto& [reason, count] : reasons) {
    notes.push_back(fmt::format("adapted, {}: {}", report::plural(count, "node"), reason));
  }
  return notes;
}

}  // namespace narrow::apps
