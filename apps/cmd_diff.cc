#include <fmt/format.h>

#include "apps/calibration.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/report_output.h"
#include "lib/base/file.h"
#include "lib/diff/gates.h"
#include "lib/diff/models.h"
#include "lib/diff/render.h"
#include "lib/plan/plan.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{.name = "diff",
                        .summary = "say what differs between two plans, calibration tables, reports or models",
                        .examples = {"diff before.plan.json after.plan.json", "diff model.onnx model.int8.onnx",
                                     "diff old.int8.onnx new.int8.onnx --format json",
                                     "diff baseline.json report.json --max-accuracy-drop 0.5 --max-size-growth 2",
                                     "diff baseline.json report.json --max-slowdown 10 --report regression.xml"},
                        .usage = "diff A B [options]"};

struct Options {
  std::string before;
  std::string after;
  std::vector<std::string> reports;
  diff::Limits limits;
  CommonOptions common;
};

/// Models are protobuf; what begins as JSON does is one of our files.
bool begins_as_json(const std::string& path) {
  const MappedFile file(path);
  const std::string_view text = file.text();
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '{' || text[first] == '[' || text[first] == '/');
}

void check_format(diff::Kind kind, const Json& json) {
  if (kind == diff::Kind::kPlan) plan::plan_from_json(json);
  if (kind == diff::Kind::kCalibration) calib::calibration_table_from_json(json);
  if (kind == diff::Kind::kReport) JsonObject(json, "").expect_format("narrow-report", report::kReportVersion);
}

struct File {
  diff::Kind kind = diff::Kind::kModel;
  Json json;
};

File read_file(const std::string& path) {
  if (!begins_as_json(path)) return {};
  return read_json_as(path, [](const Json& json) {
    const auto kind = diff::kind_of(json);
    if (!kind) {
      throw JsonError("format", "diff knows narrow-plan, narrow-calibration and narrow-report files, and ONNX models");
    }
    check_format(*kind, json);
    return File{*kind, json};
  });
}

struct Result {
  diff::Diff diff;
  diff::Figures before;
  diff::Figures after;
};

Result compare_models(const Options& options, Stages& stages) {
  const ModelSource before = open_model(options.before, named_paths("--report", options.reports), stages);
  const ModelSource after = open_model(options.after, named_paths("--report", options.reports), stages);
  // Against a quantized model, a float one is read as quantizing reads it: BatchNormalization folded, nodes named.
  std::optional<graph::Model> normalized;
  const bool quantized = quantized_operator(before.loaded).has_value();
  const bool mixed = quantized != quantized_operator(after.loaded).has_value();
  if (mixed) normalized = normalize(quantized ? after.loaded : before.loaded, stages);
  const auto side = [&](const ModelSource& source) {
    const bool as_normalized = mixed && !quantized_operator(source.loaded);
    return diff::ModelSide{source.loaded, as_normalized ? *normalized : source.loaded, source.facts.file_bytes,
                           source.facts.weight_bytes};
  };
  Result result{.diff = {diff::Kind::kModel, options.before, options.after},
                .before = diff::model_figures(before.facts.file_bytes),
                .after = diff::model_figures(after.facts.file_bytes)};
  if (mixed) {
    result.diff.notes.push_back(
        "the float model is compared as quantizing reads it: BatchNormalization and constant "
        "arithmetic folded into weights");
  }
  result.diff.groups = stages.run("compare", [&] { return diff::compare_models(side(before), side(after)); });
  return result;
}

Result compare(const Options& options) {
  Stages stages(progress_style(options.common));
  const File before = read_file(options.before);
  const File after = read_file(options.after);
  if (before.kind != after.kind) {
    throw Error(ErrorKind::kUsage, "'{}' is a {} and '{}' a {}: diff compares two files of one kind", options.before,
                diff::kind_name(before.kind), options.after, diff::kind_name(after.kind));
  }
  if (before.kind == diff::Kind::kModel) return compare_models(options, stages);
  Result result{.diff = {before.kind, options.before, options.after}, .before = {}, .after = {}};
  result.diff.groups = diff::compare_files(before.kind, before.json, after.json);
  if (before.kind == diff::Kind::kReport) {
    result.before = diff::report_figures(before.json);
    result.after = diff::report_figures(after.json);
  }
  return result;
}

}  // namespace

int run_diff(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("A", options.before, "plan, calibration table, report or model: the baseline");
  line.positional("B", options.after, "file of the same kind, found by content: the new one");
  line.repeated("--report", options.reports,
                {"FILE", "also write the differences: .json .md .html .txt or .xml (JUnit); repeatable"});
  for (const diff::GateRow& row : diff::gate_table()) {
    line.option(std::string(row.flag), options.limits.*row.limit,
                {row.unit, row.help, "gates (exit code 1 when one fails)"});
  }
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  apply_common_options(options.common);
  diff::check_limits(options.limits);
  check_outputs({{"A", options.before}, {"B", options.after}}, named_paths("--report", options.reports));
  check_report_files(options.reports);
  const Result result = compare(options);
  const std::vector<report::Gate> gates =
      diff::evaluate_gates(options.limits, {.diff = result.diff, .before = result.before, .after = result.after});
  for (const std::string& file : options.reports) {
    write_file(file, diff::render(result.diff, gates, report::report_format_of(file)));
  }
  const auto format = options.common.json() ? report::ReportFormat::kJson : report::ReportFormat::kText;
  print_result(diff::render(result.diff, gates, format));
  return finish_gates(gates, options.common);
}

}  // namespace narrow::apps
