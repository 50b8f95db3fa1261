#include "lib/report/speed.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "lib/base/json_number.h"
#include "lib/base/reason.h"
#include "lib/report/format.h"

namespace narrow::report {
namespace {

constexpr size_t kSlowestLayers = 10;

std::vector<const validate::LayerLatency*> slowest_layers(const std::vector<validate::LayerLatency>& layers) {
  std::vector<const validate::LayerLatency*> chosen;
  for (const validate::LayerLatency& layer : layers) chosen.push_back(&layer);
  std::stable_sort(chosen.begin(), chosen.end(),
                   [](const auto* a, const auto* b) { return a->integer_seconds > b->integer_seconds; });
  if (chosen.size() > kSlowestLayers) chosen.resize(kSlowestLayers);
  return chosen;
}

/// Layers that are not faster, by the kind of reason; those that take most time first.
Table not_faster_table(const std::vector<validate::LayerLatency>& layers, double all) {
  struct Group {
    int64_t layers = 0;
    double seconds = 0;
    std::string first;
  };
  std::map<ReasonCode, Group> groups;
  for (const validate::LayerLatency& layer : layers) {
    if (!layer.reason) continue;
    Group& group = groups[layer.reason->code];
    if (group.layers++ == 0) group.first = layer.node;
    group.seconds += layer.integer_seconds;
  }
  std::vector<std::pair<ReasonCode, Group>> sorted(groups.begin(), groups.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  Table table{.columns = {{"not faster than in float"}, {"layers", Align::kRight}, {"share", Align::kRight}, {"first"}},
              .rows = {}};
  for (const auto& [code, group] : sorted) {
    table.rows.push_back(
        {std::string(reason_sentence(code)), count_text(group.layers), percent_text(group.seconds / all), group.first});
  }
  return table;
}

}  // namespace

Section speed_section(const validate::Speed& speed) {
  Table table{.columns = {{""}, {"samples/s", Align::kRight}, {"ratio", Align::kRight}}, .rows = {}};
  table.rows.push_back({"float", number_text(speed.float_samples_per_second, 1), "1.00"});
  table.rows.push_back({"integer", number_text(speed.integer_samples_per_second, 1), number_text(speed.ratio, 2)});
  return {fmt::format("speed (median of {} each, {})", plural(speed.turns, "turn"), plural(speed.threads, "thread")),
          {std::move(table)}};
}

Section latency_section(const std::vector<validate::LayerLatency>& layers) {
  double all = 0;
  for (const validate::LayerLatency& layer : layers) all += layer.integer_seconds;
  Table table{.columns = {{"layer"},
                          {"operator"},
                          {"float ms", Align::kRight},
                          {"integer ms", Align::kRight},
                          {"ratio", Align::kRight},
                          {"share", Align::kRight},
                          {"kernel, or why it is not faster"}},
              .rows = {}};
  for (const validate::LayerLatency* layer : slowest_layers(layers)) {
    table.rows.push_back({layer->node, layer->op_type, fmt::format("{:.3f}", 1e3 * layer->float_seconds),
                          fmt::format("{:.3f}", 1e3 * layer->integer_seconds), number_text(layer->ratio(), 2),
                          percent_text(layer->integer_seconds / all),
                          layer->reason ? layer->reason->text() : layer->implementation});
  }
  Section section{fmt::format("latency: the slowest {} of {}", table.rows.size(),
                              plural(static_cast<int64_t>(layers.size()), "layer")),
                  {std::move(table)}};
  Table reasons = not_faster_table(layers, all);
  if (!reasons.rows.empty()) section.blocks.emplace_back(std::move(reasons));
  return section;
}

Json to_json(const validate::LayerLatency& layer) {
  Json reason;
  if (layer.reason) reason = {{"code", reason_code_name(layer.reason->code)}, {"text", layer.reason->text()}};
  return {{"node", layer.node},
          {"op", layer.op_type},
          {"nodes", layer.nodes},
          {"macs", layer.macs},
          {"float_ms", 1e3 * layer.float_seconds},
          {"integer_ms", 1e3 * layer.integer_seconds},
          {"ratio", json_number(layer.ratio())},
          {"float_implementation", layer.float_implementation},
          {"implementation", layer.implementation},
          {"reason", std::move(reason)}};
}

}  // namespace narrow::report
