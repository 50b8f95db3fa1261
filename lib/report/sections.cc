#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "lib/report/format.h"
#include "lib/report/report.h"
#include "lib/report/speed.h"
#include "lib/report/tuning.h"

namespace narrow::report {
namespace {

constexpr size_t kWorstLayers = 10;
constexpr size_t kFloatGroups = 12;
constexpr size_t kWarnings = 12;

std::string ratio_text(int64_t quantized, int64_t original) {
  if (original == 0) return "-";
  return fmt::format("{:.3f}", static_cast<double>(quantized) / static_cast<double>(original));
}

Section size_section(const Report& report) {
  Table table{.columns = {{""}, {"float", Align::kRight}, {"quantized", Align::kRight}, {"ratio", Align::kRight}},
              .rows = {}};
  const auto add = [&](const char* what, int64_t original, int64_t quantized) {
    table.rows.push_back({what, bytes_text(original), bytes_text(quantized), ratio_text(quantized, original)});
  };
  add("file", report.float_model.file_bytes, report.quantized_model.file_bytes);
  add("weights", report.float_model.weight_bytes, report.quantized_model.weight_bytes);
  return {"size", {std::move(table)}};
}

void add_accuracy(const validate::Validation& validation, Section& section) {
  Table table{.columns = {{"class"}, {"float", Align::kRight}, {"quantized", Align::kRight}, {"drop", Align::kRight}},
              .rows = {}};
  const auto add = [&](std::string what, double original, double quantized) {
    table.rows.push_back({std::move(what), percent_text(original), percent_text(quantized),
                          fmt::format("{:+.1f} points", 100 * (original - quantized))});
  };
  for (const validate::OutputComparison& output : validation.outputs) {
    if (!output.accuracy) continue;
    add(output.name + " top-1", output.accuracy->top1_float, output.accuracy->top1_quantized);
    add(output.name + " top-5", output.accuracy->top5_float, output.accuracy->top5_quantized);
  }
  if (!table.rows.empty()) section.blocks.insert(section.blocks.begin(), std::move(table));
}

Section accuracy_section(const validate::Validation& validation) {
  Table table{.columns = {{"output"},
                          {"SQNR dB", Align::kRight},
                          {"cosine", Align::kRight},
                          {"max error", Align::kRight},
                          {"agreement", Align::kRight}},
              .rows = {}};
  for (const validate::OutputComparison& output : validation.outputs) {
    table.rows.push_back({output.name, number_text(output.metrics.sqnr_db, 2), number_text(output.metrics.cosine, 5),
                          short_number_text(output.metrics.max_abs_error),
                          output.agreement ? percent_text(*output.agreement) : "-"});
  }
  Section section{fmt::format("accuracy on {}, against the float model", plural(validation.samples, "sample")),
                  {std::move(table)}};
  add_accuracy(validation, section);
  for (const validate::OutputComparison& output : validation.outputs) {
    if (output.not_comparable == 0) continue;
    section.blocks.push_back(
        Lines{{fmt::format("{}: {} left out: this output differs in size between the models, or holds no numbers",
                           output.name, plural(output.not_comparable, "sample"))}});
  }
  return section;
}

/// Nodes that share operator and kind of reason.
struct FloatGroup {
  int64_t nodes = 0;
  int64_t macs = 0;
  std::string first;
  std::string detail;  // of the first's reason: it names values and shapes of one node
  bool differ = false;
};

std::string reason_of(const FloatGroup& group, const std::string& sentence) {
  if (group.detail.empty()) return sentence;
  return sentence + (group.differ ? fmt::format(" (the first: {})", group.detail) : ": " + group.detail);
}

Table float_nodes_table(const runtime::Coverage& coverage) {
  std::map<std::pair<std::string, std::string>, FloatGroup> groups;
  for (const runtime::NodeCoverage& node : coverage.nodes) {
    if (node.integer) continue;
    const std::string detail = node.reason ? node.reason->detail : "";
    const std::string_view sentence = node.reason ? reason_sentence(node.reason->code) : "no reason given";
    FloatGroup& group = groups[{node.op_type, std::string(sentence)}];
    if (group.nodes++ == 0) {
      group.first = node.node;
      group.detail = detail;
    }
    group.macs += node.macs.value_or(0);
    group.differ = group.differ || group.detail != detail;
  }
  Table table{.columns = {{"in float"}, {"nodes", Align::kRight}, {"MACs", Align::kRight}, {"first"}, {"reason"}},
              .rows = {}};
  for (const auto& [key, group] : groups) {
    if (table.rows.size() == kFloatGroups) {
      table.rows.push_back(
          {fmt::format("and {} more", groups.size() - kFloatGroups), "", "", "", "see the JSON report"});
      break;
    }
    table.rows.push_back(
        {key.first, count_text(group.nodes), count_text(group.macs), group.first, reason_of(group, key.second)});
  }
  return table;
}

Section coverage_section(const validate::Validation& validation) {
  const runtime::Coverage& coverage = validation.coverage;
  Table shares{.columns = {{""}, {"share", Align::kRight}, {"integer", Align::kRight}, {"all", Align::kRight}},
               .rows = {}};
  shares.rows.push_back({"MACs", percent_text(coverage.mac_share()), count_text(coverage.integer_macs()),
                         count_text(coverage.total_macs())});
  shares.rows.push_back({"nodes", percent_text(coverage.node_share()), count_text(coverage.integer_nodes()),
                         count_text(static_cast<int64_t>(coverage.nodes.size()))});
  Section section{fmt::format("integer kernels ({})", validation.isa), {std::move(shares)}};
  Table floats = float_nodes_table(coverage);
  if (!floats.rows.empty()) section.blocks.emplace_back(std::move(floats));
  return section;
}

// Kernels that computed otherwise than plain integer loops on the same inputs.
Section checks_section(const validate::Validation& validation) {
  Table table{.columns = {{"kernel that is not exact"},
                          {"operator"},
                          {"elements off", Align::kRight},
                          {"share", Align::kRight},
                          {"most steps", Align::kRight}},
              .rows = {}};
  int64_t exact = 0;
  for (const runtime::KernelCheck& check : validation.checks) {
    if (check.beyond_one == 0) {
      ++exact;
      continue;
    }
    table.rows.push_back({check.node, check.op_type, count_text(check.beyond_one),
                          percent_text(static_cast<double>(check.beyond_one) / static_cast<double>(check.elements)),
                          check.most == 0 ? "" : std::to_string(check.most)});
  }
  Section section{fmt::format("against plain integer loops ({} of {} exact to one step, {})", exact,
                              plural(static_cast<int64_t>(validation.checks.size()), "kernel"), validation.isa),
                  {}};
  if (table.rows.empty()) {
    section.blocks.emplace_back(Lines{{"every kernel computes what integers say"}});
    return section;
  }
  section.blocks.emplace_back(std::move(table));
  if (validation.saturates_pairs) {
    section.blocks.emplace_back(
        Lines{{fmt::format("without VNNI, {} adds products of u8 and s8 in pairs that saturate at 16 bits; "
                           "\"reduce_range\": true for these layers makes them exact there",
                           validation.isa)}});
  }
  return section;
}

std::string agreement_text(const std::optional<double>& agreement) {
  return agreement ? percent_text(*agreement) : std::string();
}

std::vector<Cell> isa_row(const IsaRun& run) {
  const IsaOutput first = run.outputs.empty() ? IsaOutput{} : run.outputs.front();
  const auto inexact = static_cast<int64_t>(run.inexact_nodes.size());
  return {run.isa, run.saturates_pairs ? "yes" : "no", number_text(first.sqnr_db, 2), agreement_text(first.agreement),
          fmt::format("{} of {}", count_text(run.kernels - inexact), count_text(run.kernels))};
}

// Nodes that some instruction set does not compute exactly, in the order they were met.
std::vector<std::string> inexact_nodes(const std::vector<IsaRun>& runs) {
  std::vector<std::string> nodes;
  for (const IsaRun& run : runs) {
    for (const std::string& node : run.inexact_nodes) {
      if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
    }
  }
  return nodes;
}

Section isas_section(const std::vector<IsaRun>& runs) {
  Table table{.columns = {{"as on"},
                          {"pairs saturate"},
                          {"SQNR dB", Align::kRight},
                          {"agreement", Align::kRight},
                          {"kernels exact", Align::kRight}},
              .rows = {}};
  for (const IsaRun& run : runs) table.rows.push_back(isa_row(run));
  Lines lines;
  const std::vector<std::string> nodes = inexact_nodes(runs);
  if (!nodes.empty()) {
    lines.lines.push_back(fmt::format("\"reduce_range\": true would make {} exact there: {}",
                                      nodes.size() == 1 ? "this node" : "these nodes", fmt::join(nodes, ", ")));
  }
  lines.lines.emplace_back("CPUs of other makes (ARM, ...) are not measured here");
  return {"other instruction sets", {std::move(table), std::move(lines)}};
}

Section worst_layers_section(const validate::Validation& validation) {
  std::vector<const validate::LayerComparison*> layers;
  for (const auto& layer : validation.layers) layers.push_back(&layer);
  const auto badness = [](const validate::LayerComparison* layer) {
    return std::isnan(layer->metrics.sqnr_db) ? -HUGE_VAL : layer->metrics.sqnr_db;
  };
  std::stable_sort(layers.begin(), layers.end(), [&](const auto* a, const auto* b) { return badness(a) < badness(b); });
  if (layers.size() > kWorstLayers) layers.resize(kWorstLayers);
  Table table{.columns = {{"value"},
                          {"operator"},
                          {"SQNR dB", Align::kRight},
                          {"simulated", Align::kRight},
                          {"equal", Align::kRight},
                          {"steps", Align::kRight},
                          {"cosine", Align::kRight},
                          {"max error", Align::kRight}},
              .rows = {}};
  for (const validate::LayerComparison* layer : layers) {
    table.rows.push_back({layer->value, layer->op_type.empty() ? "(input)" : layer->op_type,
                          number_text(layer->metrics.sqnr_db, 2),
                          layer->simulated ? number_text(layer->simulated->sqnr_db, 2) : "",
                          layer->difference ? percent_text(layer->difference->identical()) : "",
                          layer->difference ? std::to_string(layer->difference->most) : "",
                          number_text(layer->metrics.cosine, 5), short_number_text(layer->metrics.max_abs_error)});
  }
  return {fmt::format("worst {} of {} ({})", table.rows.size(),
                      plural(static_cast<int64_t>(validation.layers.size()), "activation"),
                      plural(validation.layer_samples, "sample")),
          {std::move(table)}};
}

Section plan_section(const plan::PrecisionPlan& plan) {
  return {"plan", {Lines{{decisions_text(plan, " into another's quantization")}}}};
}

Section lines_section(std::string title, const std::vector<std::string>& lines) {
  Lines shown;
  for (const std::string& line : lines) {
    if (shown.lines.size() == kWarnings) {
      shown.lines.push_back(fmt::format("and {} more, see the JSON report", lines.size() - kWarnings));
      break;
    }
    shown.lines.push_back(line);
  }
  return {std::move(title), {std::move(shown)}};
}

Section recovery_section(const RecoveryFacts& recovery) {
  Table table{
      .columns = {{"recovery"}, {"SQNR dB", Align::kRight}, {"gain", Align::kRight}, {"seconds", Align::kRight}, {""}},
      .rows = {}};
  for (size_t i = 0; i < recovery.trials.size(); ++i) {
    const RecoveryTrial& trial = recovery.trials[i];
    table.rows.push_back({trial.steps, number_text(trial.sqnr_db, 2),
                          i == 0 ? "" : fmt::format("{:+.2f} +- {:.2f}", trial.gain_db, trial.gain_error_db),
                          fmt::format("{:.1f}", trial.seconds), i == recovery.chosen ? "taken" : ""});
  }
  return {fmt::format("recovery, judged on {} of the calibration samples that it did not fit", recovery.held_samples),
          {std::move(table)}};
}

}  // namespace

Section gates_section(const std::vector<Gate>& gates) {
  Table table{.columns = {{"gate"}, {""}, {"measured", Align::kRight}, {"wanted"}}, .rows = {}};
  for (const Gate& gate : gates) {
    const Cell verdict = gate.passed ? Cell("PASS", Mark::kGood) : Cell("FAIL", Mark::kBad);
    table.rows.push_back({gate.name, verdict, got_text(gate, 4),
                          fmt::format("at {} {:.6g}", gate.at_most ? "most" : "least", gate.wanted)});
  }
  return {"gates", {std::move(table)}};
}

std::string decisions_text(const plan::PrecisionPlan& plan, std::string_view folded_into) {
  std::map<plan::Decision, int64_t> counts;
  for (const plan::LayerPlan& layer : plan.layers) ++counts[layer.decision];
  std::string text = fmt::format("{} quantized, {} folded{}", plural(counts[plan::Decision::kQuantize], "node"),
                                 count_text(counts[plan::Decision::kFold]), folded_into);
  const int64_t dynamic = counts[plan::Decision::kDynamic];
  if (dynamic > 0) text += fmt::format(", {} dynamic", count_text(dynamic));
  const int64_t stored = counts[plan::Decision::kWeightOnly];
  if (stored > 0) text += fmt::format(", {} in weights only", count_text(stored));
  const int64_t halves = counts[plan::Decision::kFloat16] + counts[plan::Decision::kBfloat16];
  if (halves > 0) text += fmt::format(", {} in 16-bit floats", count_text(halves));
  return text + fmt::format(", {} float", count_text(counts[plan::Decision::kFloat]));
}

Document to_document(const Report& report) {
  Document document;
  document.title = fmt::format("{} -> {}", std::filesystem::path(report.float_model.path).filename().string(),
                               std::filesystem::path(report.quantized_model.path).filename().string());
  if (!report.recipe.empty()) document.summary.push_back(report.recipe);
  auto& sections = document.sections;
  if (report.validation) sections.push_back(accuracy_section(*report.validation));
  sections.push_back(size_section(report));
  if (report.validation && report.validation->speed) sections.push_back(speed_section(*report.validation->speed));
  if (report.tuning) {
    sections.push_back(tuning_section(*report.tuning, report.float_model.file_bytes));
    sections.push_back(sensitivity_section(*report.tuning));
  }
  if (report.recovery) sections.push_back(recovery_section(*report.recovery));
  if (report.plan) sections.push_back(plan_section(*report.plan));
  if (report.validation) {
    sections.push_back(coverage_section(*report.validation));
    if (!report.isas.empty()) sections.push_back(isas_section(report.isas));
    if (!report.validation->checks.empty()) sections.push_back(checks_section(*report.validation));
    if (!report.validation->latencies.empty()) sections.push_back(latency_section(report.validation->latencies));
    if (!report.validation->layers.empty()) sections.push_back(worst_layers_section(*report.validation));
  }
  if (!report.warnings.empty()) sections.push_back(lines_section("warnings", report.warnings));
  if (!report.notes.empty()) sections.push_back(lines_section("notes", report.notes));
  if (!report.gates.empty()) sections.push_back(gates_section(report.gates));
  return document;
}

}  // namespace narrow::report
