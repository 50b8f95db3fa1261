#include "apps/sensitivity.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "apps/tune_ground.h"
#include "lib/base/error.h"
#include "lib/base/json_number.h"
#include "lib/base/log.h"
#include "lib/plan/match.h"
#include "lib/report/format.h"

namespace narrow::apps {
namespace {

constexpr size_t kShownLayers = 40;
constexpr size_t kShownGroups = 30;
constexpr size_t kShownTensors = 10;

bool noisier(const tune::Effect& a, const tune::Effect& b) {
  return a.noise > b.noise;
}

tune::LayerGroup group_of(const std::string& pattern, const analyze::Analysis& analysis, const tune::Space& space) {
  plan::Match match;
  match.name = pattern;
  const plan::Matcher matcher(match, analysis);
  std::unordered_map<std::string, size_t> layer_of;
  for (size_t i = 0; i < analysis.layers.size(); ++i) layer_of[analysis.layers[i].node] = i;
  tune::LayerGroup group{.name = "group " + pattern, .items = {}};
  for (size_t item = 0; item < space.items.size(); ++item) {
    const bool inside = tune::is_quantized(space.items[item]) && matcher.matches(layer_of.at(space.items[item].node));
    if (inside) group.items.push_back(item);
  }
  if (group.items.empty()) {
    throw Error(ErrorKind::kUsage, "--group: '{}' matches no layer that the config quantizes; see 'narrow plan'",
                pattern);
  }
  return group;
}

SensitivityTable::Row make_row(const tune::LayerGroup& group, const tune::Space& space,
                               const tune::Sensitivity& known) {
  const size_t space_at = group.name.find(' ');
  SensitivityTable::Row row{.kind = group.name.substr(0, space_at),
                            .name = group.name.substr(space_at + 1),
                            .layers = {},
                            .quantized = known.at(group.quantized_key()),
                            .left_float = known.at(group.float_key())};
  double macs = 0;
  for (const size_t item : group.items) {
    row.layers.push_back(space.items[item].node);
    macs += space.items[item].macs;
  }
  if (space.macs > 0) row.macs = macs / space.macs;
  row.gain_db = row.left_float.sqnr_db() - known.at(tune::kAllKey).sqnr_db();
  return row;
}

Json effect_json(const tune::Effect& effect) {
  return {{"sqnr_db", json_number(effect.sqnr_db())},
          {"divergence", json_number(effect.divergence)},
          {"agreement", json_number(effect.agreement)},
          {"top1", json_number(effect.top1)}};
}

/// Which columns a table has.
struct Shown {
  bool scores = false;
  bool labels = false;
};

void add_columns(report::Table& table, const Shown& shown) {
  const auto add = [&](const std::string& title) { table.columns.push_back({title, report::Align::kRight}); };
  add("alone: SQNR dB");
  if (shown.scores) add("KL");
  if (shown.scores) add("agree");
  if (shown.labels) add("top-1");
}

void add_cells(std::vector<report::Cell>& cells, const tune::Effect& effect, const Shown& shown) {
  cells.emplace_back(report::number_text(effect.sqnr_db(), 2));
  if (shown.scores) cells.emplace_back(effect.divergence ? report::short_number_text(*effect.divergence) : "-");
  if (shown.scores) cells.emplace_back(effect.agreement ? report::percent_text(*effect.agreement) : "-");
  if (shown.labels) cells.emplace_back(effect.top1 ? report::percent_text(*effect.top1) : "-");
}

report::Section rows_section(const std::string& title, const std::vector<const SensitivityTable::Row*>& rows,
                             size_t most, const Shown& shown) {
  report::Table table{.columns = {{"name"}, {"MACs", report::Align::kRight}}, .rows = {}};
  const bool kinds = std::any_of(rows.begin(), rows.end(), [](const auto* row) { return row->kind != "layer"; });
  add_columns(table, shown);
  table.columns.push_back({"left float: +dB", report::Align::kRight});
  if (shown.scores) table.columns.push_back({"agree", report::Align::kRight});
  if (shown.labels) table.columns.push_back({"top-1", report::Align::kRight});
  for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
    const SensitivityTable::Row& row = *rows[i];
    std::vector<report::Cell> cells{kinds ? row.kind + " " + row.name : row.name, report::percent_text(row.macs)};
    add_cells(cells, row.quantized, shown);
    cells.emplace_back(report::number_text(row.gain_db, 2));
    if (shown.scores) {
      cells.emplace_back(row.left_float.agreement ? report::percent_text(*row.left_float.agreement) : "-");
    }
    if (shown.labels) cells.emplace_back(row.left_float.top1 ? report::percent_text(*row.left_float.top1) : "-");
    table.rows.push_back(std::move(cells));
  }
  report::Section section{fmt::format("{}: noisiest {} of {}", title, table.rows.size(), rows.size()), {}};
  section.blocks.emplace_back(std::move(table));
  return section;
}

report::Section tensors_section(const SensitivityTable& table, const Shown& shown) {
  report::Table rows{.columns = {{"rounded"}}, .rows = {}};
  const Shown unlabelled{.scores = shown.scores, .labels = false};
  add_columns(rows, unlabelled);
  for (size_t i = 0; i < std::min(table.tensors.size(), kShownTensors); ++i) {
    std::vector<report::Cell> cells{table.tensors[i].rounded};
    add_cells(cells, table.tensors[i].effect, unlabelled);
    rows.rows.push_back(std::move(cells));
  }
  report::Section section{
      fmt::format("tensors, on {}: noisiest {} of {}", report::plural(table.tensor_samples, "sample"), rows.rows.size(),
                  table.tensors.size()),
      {}};
  section.blocks.emplace_back(std::move(rows));
  return section;
}

std::string whole_text(const SensitivityTable& table) {
  std::string text = fmt::format("all quantized: {} dB", report::number_text(table.all.sqnr_db(), 2));
  if (table.all.agreement) text += fmt::format(", agreement {}", report::percent_text(*table.all.agreement));
  if (table.all.top1 && table.float_top1) {
    text += fmt::format(", top-1 {} (float {})", report::percent_text(*table.all.top1),
                        report::percent_text(*table.float_top1));
  }
  return text;
}

}  // namespace

SensitivityTable measure_table(const SensitivityOptions& options, Stages& stages) {
  TuneGround ground(options.pipeline, stages);
  ground.open_trail(options.trail, {});
  const std::vector<int64_t> chosen = ground.some_calibration(options.measured);
  tune::Trail& trail = ground.trail();
  const auto count = static_cast<int64_t>(chosen.size());
  if (!trail.groups.empty() && trail.group_samples != count) {
    throw Error(ErrorKind::kUsage, "'{}' was measured on {}, not {}: give another file to begin anew", options.trail,
                report::plural(trail.group_samples, "sample"), count);
  }
  trail.group_samples = count;
  const validate::Samples labelled = select_samples(ground.data(), chosen, options.pipeline.labels);
  ground.find_numbers();
  ground.choose_recovery([](const graph::Model&) { return true; });
  const tune::PlanInputs inputs = ground.plan_inputs();
  const tune::Space space = stages.run("space", [&] { return tune::make_space(inputs, {tune::Choice::kConfig}); });
  ground.check_nodes(space.nodes());
  std::vector<tune::LayerGroup> groups = tune::layer_groups(inputs.model, space);
  if (groups.empty()) throw Error(ErrorKind::kUsage, "the config leaves every layer in float32: nothing is sensitive");
  for (const std::string& pattern : options.groups) groups.push_back(group_of(pattern, inputs.analysis, space));
  ground.measure_sensitivity(space.components);
  tune::SensitivityOptions measuring{.workers = options.pipeline.workers, .keep = {}, .progress = stages.progress()};
  measuring.keep = [&](const tune::Sensitivity& known) {
    trail.groups = known;
    ground.save_trail();
  };
  trail.groups = stages.run("groups", [&] {
    return tune::measure_groups(inputs, space, groups, {.count = count, .read = labelled.read}, labelled.labels,
                                trail.groups, measuring);
  });
  ground.save_trail();
  SensitivityTable table{.model = ground.source().facts.path,
                         .model_sha256 = ground.source().facts.sha256,
                         .data = ground.data().facts(count),
                         .recipe = recipe_text(options.pipeline.config.rules),
                         .tensor_samples = std::min(count, kTensorSamples),
                         .float_top1 = trail.groups.at(tune::kNothingKey).top1,
                         .all = trail.groups.at(tune::kAllKey),
                         .warnings = ground.warnings()};
  for (const tune::LayerGroup& group : groups) table.rows.push_back(make_row(group, space, trail.groups));
  for (const tune::Component& component : space.components) {
    table.tensors.push_back({component.key, trail.sensitivity.at(component.key)});
  }
  std::stable_sort(table.rows.begin(), table.rows.end(),
                   [](const auto& a, const auto& b) { return noisier(a.quantized, b.quantized); });
  std::stable_sort(table.tensors.begin(), table.tensors.end(),
                   [](const auto& a, const auto& b) { return noisier(a.effect, b.effect); });
  table.stages = stages.times();
  return table;
}

Json to_json(const SensitivityTable& table) {
  Json json{{"format", "narrow-sensitivity"},
            {"version", 1},
            {"model", table.model},
            {"model_sha256", table.model_sha256},
            {"data", {{"path", table.data.path}, {"sha256", table.data.sha256}, {"samples", table.data.samples}}},
            {"recipe", table.recipe},
            {"float_top1", json_number(table.float_top1)},
            {"all_quantized", effect_json(table.all)}};
  json["rows"] = Json::array();
  for (const SensitivityTable::Row& row : table.rows) {
    json["rows"].push_back({{"kind", row.kind},
                            {"name", row.name},
                            {"layers", row.layers},
                            {"macs_share", row.macs},
                            {"quantized_alone", effect_json(row.quantized)},
                            {"left_float_alone", effect_json(row.left_float)},
                            {"gain_db", json_number(row.gain_db)}});
  }
  json["tensor_samples"] = table.tensor_samples;
  json["tensors"] = Json::array();
  for (const SensitivityTable::TensorRow& row : table.tensors) {
    Json entry = effect_json(row.effect);
    entry["rounded"] = row.rounded;
    entry.erase("top1");
    json["tensors"].push_back(std::move(entry));
  }
  json["warnings"] = table.warnings;
  json["stages"] = Json::array();
  for (const report::StageTime& stage : table.stages) {
    json["stages"].push_back({{"name", stage.name}, {"seconds", stage.seconds}});
  }
  return json;
}

report::Document to_document(const SensitivityTable& table) {
  const Shown shown{.scores = table.all.agreement.has_value(), .labels = table.float_top1.has_value()};
  report::Document document;
  document.title = fmt::format("sensitivity of {} on {}", table.model, report::plural(table.data.samples, "sample"));
  document.summary = {table.recipe, whole_text(table)};
  std::vector<const SensitivityTable::Row*> layers;
  std::vector<const SensitivityTable::Row*> groups;
  for (const SensitivityTable::Row& row : table.rows) (row.kind == "layer" ? layers : groups).push_back(&row);
  document.sections.push_back(rows_section("layers", layers, kShownLayers, shown));
  if (!groups.empty()) document.sections.push_back(rows_section("groups of layers", groups, kShownGroups, shown));
  document.sections.push_back(tensors_section(table, shown));
  if (!table.warnings.empty()) document.sections.push_back({"warnings", {report::Lines{table.warnings}}});
  return document;
}

}  // namespace narrow::apps
