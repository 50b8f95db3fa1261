#include "apps/dry_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "apps/pipeline.h"
#include "lib/base/suggest.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/io/load.h"
#include "lib/plan/scheme_json.h"
#include "lib/report/format.h"
#include "lib/report/report.h"
#include "lib/report/speed.h"
#include "lib/runtime/instruction_set.h"
#include "lib/runtime/lower.h"
#include "lib/validate/latency.h"

namespace narrow::apps {
namespace {

/// A range for every group, each another, so that scales and zero points are stored apart as they will be.
plan::Ranges made_up_ranges(const analyze::Analysis& analysis) {
  plan::Ranges ranges;
  constexpr float kGolden = 0.618034F;  // its multiples spread evenly over [0, 1) in whatever number
  float width = 1;
  float spread = 0;
  for (const analyze::ValueGroup& group : analysis.groups) {
    width *= 1.001F;
    spread += kGolden;
    spread -= std::floor(spread);
    ranges[group.representative] = {.range = {-width * (0.1F + spread), width}, .calibrator = "none", .unusable = {}};
  }
  return ranges;
}

std::string computed_in(const plan::LayerPlan& layer, const plan::PrecisionPlan& plan) {
  switch (layer.decision) {
    case plan::Decision::kQuantize: {
      const auto input = std::find_if(plan.values.begin(), plan.values.end(), [&](const plan::ValuePlan& value) {
        return !layer.activations.empty() && value.value == layer.activations[0];
      });
      const std::string type = input == plan.values.end() ? "float32" : std::string(quant::name(input->params.type));
      return fmt::format("{} x {}", layer.weight ? quant::name(layer.weight->params.type) : type, type);
    }
    case plan::Decision::kDynamic:
      return fmt::format("{} x dynamic uint8", quant::name(layer.weight->params.type));
    case plan::Decision::kFloat16:
    case plan::Decision::kBfloat16:
      return std::string(plan::decision_name(layer.decision));
    default:
      return "float32";
  }
}

/// A weight that several layers share counts once.
std::map<std::string, WeightSizes> weight_sizes(const graph::Model& model, const plan::PrecisionPlan& plan) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  std::set<std::pair<std::string, std::string>> counted;
  std::map<std::string, WeightSizes> sizes;
  const auto add = [&](const plan::WeightPlan& weight, WeightSizes& size) {
    const quant::QuantParams& params = weight.params;
    if (!counted.emplace(weight.initializer, quant::name(params.type)).second) return;
    const onnx::TensorProto& tensor = *index.initializer(weight.initializer);
    const int64_t elements = element_count(Shape(tensor.dims().begin(), tensor.dims().end()));
    const auto groups = static_cast<int64_t>(params.scales.size());
    const bool zeros =
        std::any_of(params.zero_points.begin(), params.zero_points.end(), [](int32_t z) { return z != 0; });
    const int64_t codes = elements + (zeros ? groups : 0);
    size.float_bytes += 4 * elements;
    size.bytes += (codes * quant::stored_bits(params) + 7) / 8 + 4 * groups;
    if (params.codebooks) size.bytes += 4 * static_cast<int64_t>(params.codebooks->values.size());
  };
  for (const plan::LayerPlan& layer : plan.layers) {
    if (!layer.weight) continue;
    WeightSizes& size = sizes[std::string(quant::name(layer.weight->params.type))];
    ++size.layers;
    add(*layer.weight, size);
    for (const plan::WeightPlan& weight : layer.more_weights) add(weight, size);
  }
  return sizes;
}

report::Table weights_table(const std::map<std::string, WeightSizes>& weights) {
  using report::Align;
  report::Table table{.columns = {{"weights stored as"},
                                  {"layers", Align::kRight},
                                  {"float", Align::kRight},
                                  {"predicted", Align::kRight},
                                  {"ratio", Align::kRight}},
                      .rows = {}};
  for (const auto& [type, size] : weights) {
    const double ratio = static_cast<double>(size.bytes) / static_cast<double>(std::max<int64_t>(size.float_bytes, 1));
    table.rows.push_back({type, report::count_text(size.layers), report::count_text(size.float_bytes),
                          report::count_text(size.bytes), fmt::format("{:.3f}", ratio)});
  }
  return table;
}

Json layer_json(const plan::LayerPlan& layer) {
  Json json{{"node", layer.node}, {"op", layer.op_type}, {"decision", plan::decision_name(layer.decision)}};
  json["rule"] = layer.rule;
  if (layer.reason) json["reason"] = layer.reason->text();
  return json;
}

Json speed_json(const MeasuredSpeed& speed) {
  Json json{{"float_ms", 1e3 * speed.float_seconds()},
            {"predicted_ms", 1e3 * speed.integer_seconds()},
            {"isa", speed.isa},
            {"threads", speed.threads},
            {"random_inputs", speed.random}};
  json["layers"] = Json::array();
  for (const validate::LayerLatency& layer : speed.layers) json["layers"].push_back(report::to_json(layer));
  return json;
}

report::Section speed_section(const MeasuredSpeed& speed) {
  report::Table table{.columns = {{""}, {"ms a run", report::Align::kRight}, {"runs/s", report::Align::kRight}},
                      .rows = {}};
  const auto add = [&](const char* what, double seconds) {
    table.rows.push_back({what, fmt::format("{:.3f}", 1e3 * seconds), fmt::format("{:.1f}", 1 / seconds)});
  };
  add("float", speed.float_seconds());
  add("predicted", speed.integer_seconds());
  return {fmt::format("predicted speed: sums of layers as measured on this machine ({}, {}, {})", speed.isa,
                      report::plural(speed.threads, "thread"), speed.random ? "random inputs" : "your data"),
          {std::move(table)}};
}

report::Table float_table(const plan::PrecisionPlan& plan) {
  report::Table floats{.columns = {{"in float"}, {"operator"}, {"decided by"}, {"reason"}}, .rows = {}};
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.decision != plan::Decision::kFloat) continue;
    floats.rows.push_back({layer.node, layer.op_type, layer.rule, layer.reason ? layer.reason->text() : ""});
  }
  return floats;
}

}  // namespace

DryRun dry_run(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
               int64_t float_bytes) {
  DryRun run{.float_bytes = float_bytes,
             .file_bytes = 0,
             .macs = {},
             .weights = {},
             .plan = plan::make_plan(model, analysis, made_up_ranges(analysis), rules)};
  run.file_bytes = io::saved_bytes(written_model(model, run.plan).model);
  run.weights = weight_sizes(model, run.plan);
  for (size_t i = 0; i < analysis.layers.size(); ++i) {
    const int64_t macs = analysis.layers[i].macs;
    if (macs > 0) run.macs[computed_in(run.plan.layers[i], run.plan)] += macs;
  }
  return run;
}

double MeasuredSpeed::float_seconds() const {
  double sum = 0;
  for (const validate::LayerLatency& layer : layers) sum += layer.float_seconds;
  return sum;
}

double MeasuredSpeed::integer_seconds() const {
  double sum = 0;
  for (const validate::LayerLatency& layer : layers) sum += layer.integer_seconds;
  return sum;
}

MeasuredSpeed measure_layers(const graph::Model& loaded, const graph::Model& model, const plan::PrecisionPlan& plan,
                             const std::vector<exec::Feed>& feeds) {
  constexpr int kRepetitions = 15;
  const exec::Program reference = exec::compile_float(loaded);
  runtime::LoweredModel lowered = runtime::lower(quantized_model(model, plan));
  runtime::count_macs(lowered, feeds.front());
  const validate::StepTimes times = validate::time_steps(reference, lowered.program, feeds, kRepetitions);
  return {.isa = runtime::instruction_set(), .layers = validate::layer_latencies(times, lowered)};
}

Json to_json(const DryRun& run) {
  Json json{{"float_bytes", run.float_bytes}, {"file_bytes", run.file_bytes}};
  json["macs"] = Json::object();
  for (const auto& [type, macs] : run.macs) json["macs"][type] = macs;
  json["weights"] = Json::object();
  for (const auto& [type, size] : run.weights) {
    json["weights"][type] = {{"layers", size.layers}, {"float_bytes", size.float_bytes}, {"bytes", size.bytes}};
  }
  if (run.speed) json["speed"] = speed_json(*run.speed);
  json["prepared"] = Json::array();
  for (const plan::PreparedNodes& group : run.plan.prepared) {
    json["prepared"].push_back(
        {{"decision", plan::fate_name(group.fate)}, {"reason", plan::fate_text(group.fate)}, {"nodes", group.nodes}});
  }
  json["layers"] = Json::array();
  for (const plan::LayerPlan& layer : run.plan.layers) json["layers"].push_back(layer_json(layer));
  return json;
}

report::Document to_document(const DryRun& run, const std::string& model) {
  report::Document document;
  document.title = fmt::format("{}: {}", model, report::decisions_text(run.plan));
  document.summary = {"nothing is written: the plan as it will be, before any calibration"};
  const double ratio =
      run.float_bytes > 0 ? static_cast<double>(run.file_bytes) / static_cast<double>(run.float_bytes) : 0;
  report::Table size{.columns = {{""},
                                 {"float", report::Align::kRight},
                                 {"predicted", report::Align::kRight},
                                 {"ratio", report::Align::kRight}},
                     .rows = {{"file", report::count_text(run.float_bytes), report::count_text(run.file_bytes),
                               fmt::format("{:.3f}", ratio)}}};
  report::Section sizes{"size in bytes", {std::move(size)}};
  if (!run.weights.empty()) sizes.blocks.emplace_back(weights_table(run.weights));
  document.sections.push_back(std::move(sizes));
  report::Table macs{.columns = {{"computed in"}, {"MACs", report::Align::kRight}}, .rows = {}};
  for (const auto& [type, count] : run.macs) macs.rows.push_back({type, report::count_text(count)});
  if (!macs.rows.empty()) document.sections.push_back({"products per sample", {std::move(macs)}});
  if (run.speed) {
    document.sections.push_back(speed_section(*run.speed));
    document.sections.push_back(report::latency_section(run.speed->layers));
  }
  report::Table floats = float_table(run.plan);
  if (!floats.rows.empty()) document.sections.push_back({"", {std::move(floats)}});
  return document;
}

std::optional<report::Document> explain_prepared(const std::vector<plan::PreparedNodes>& prepared,
                                                 const std::string& node) {
  for (const plan::PreparedNodes& group : prepared) {
    if (std::find(group.nodes.begin(), group.nodes.end(), node) == group.nodes.end()) continue;
    report::Document document;
    document.title = fmt::format("{}: {}", node, plan::fate_name(group.fate));
    document.summary = {std::string(plan::fate_text(group.fate)), "no rule decides about it"};
    return document;
  }
  return std::nullopt;
}

report::Document explain(const graph::Model& model, const analyze::Analysis& analysis, const plan::Rules& rules,
                         const std::string& node) {
  const auto found = analysis.layer_of.find(node);
  if (found == analysis.layer_of.end()) {
    std::vector<std::string> names;
    for (const analyze::Layer& layer : analysis.layers) names.push_back(layer.node);
    throw Error(ErrorKind::kUsage, "--explain: the model has no node '{}'{}", node, did_you_mean(node, names));
  }
  const plan::PrecisionPlan plan = plan::make_plan(model, analysis, made_up_ranges(analysis), rules);
  const plan::LayerPlan& layer = plan.layers[found->second];
  const plan::Resolved resolved = plan::resolve_rules(analysis, rules)[found->second];
  report::Document document;
  document.title = fmt::format("{} ({}): {}", layer.node, layer.op_type, plan::decision_name(layer.decision));
  if (layer.reason) document.summary.push_back(layer.reason->text());
  document.summary.push_back("decided by " + layer.rule);
  report::Lines trail;
  for (const std::string& line : resolved.trail) trail.lines.push_back(line);
  if (trail.lines.empty()) trail.lines.emplace_back("no rule changed the defaults");
  document.sections.push_back({"rules, in order", {std::move(trail)}});
  std::vector<std::vector<report::Cell>> settings;
  const Json flat = plan::scheme_json(resolved.scheme).flatten();
  for (const auto& [key, value] : flat.items()) {
    std::string path = key.substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    settings.push_back({path, value.is_string() ? value.get<std::string>() : value.dump()});
  }
  document.sections.push_back({"settings", {report::facts(std::move(settings))}});
  return document;
}

}  // namespace narrow::apps
