#include <fmt/format.h>

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/import.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/pipeline.h"
#include "lib/base/file.h"
#include "lib/report/document.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "import",
    .summary = "read onnxruntime's quantization settings for a model as a config and a calibration table",
    .examples =
        {"import model.onnx --nodes-to-exclude exclude.txt -o narrow.json",
         "import model.onnx --tensor-quant-overrides overrides.json -o narrow.json",
         "import model.onnx --calibration-table calibration.json -o narrow.json --calibration-out ranges.json",
         "quantize model.onnx -o model.int8.onnx --config narrow.json --calibration ranges.json --eval eval.npy"},
    .usage = "import MODEL -o CONFIG.json [options]"};

struct Options {
  std::string model;
  std::string exclude;
  std::string overrides;
  std::string table;
  std::string output;
  std::string calibration_out;
  CommonOptions common;
};

struct Result {
  Json config;
  std::optional<calib::CalibrationTable> table;
  std::vector<std::string> notes;
};

/// The settings as a config; ranges that were chosen elsewhere are taken as they are, which is what minmax stands for.
Json config_of(const Options& options, const Imported& imported) {
  Json config = Json::object();
  if (!options.table.empty()) config["calibration"] = {{"method", "minmax"}};
  config["rules"] = imported.rules;
  return config;
}

Result run(const Options& options, Stages& stages) {
  const std::vector<NamedPath> outputs{{"--output", options.output}, {"--calibration-out", options.calibration_out}};
  const ModelSource source = open_model(options.model, outputs, stages);
  refuse_quantized(source.loaded);
  const graph::Model model = normalize(source.loaded, stages);
  const analyze::Analysis analysis = stages.run("analyze", [&] { return analyze::analyze(model); });
  const ImportSubject subject{.loaded = source.loaded, .model = model, .analysis = analysis};
  Imported imported;
  if (!options.overrides.empty()) {
    const auto overrides = read_json_as(options.overrides, read_tensor_overrides);
    in_context(options.overrides, [&] { import_overrides(overrides, subject, imported); });
  }
  if (!options.exclude.empty()) {
    import_exclusions(read_node_list(options.exclude), options.exclude, subject, imported);
  }
  if (!imported.ranges.empty() && options.table.empty()) {
    throw Error(
        ErrorKind::kUsage,
        "'{}' gives tensor '{}' a range of its own, which stands in a calibration table: give --calibration-table "
        "and --calibration-out",
        options.overrides, imported.ranges.begin()->first);
  }
  Result result{.config = config_of(options, imported), .table = {}, .notes = {}};
  const Config config = make_config(ConfigSource(options.output, json_text(result.config)), {});
  if (!options.table.empty()) {
    const TensorRanges ranges = read_json_as(options.table, read_tensor_ranges);
    result.table = in_context(options.table, [&] { return import_ranges(ranges, subject, config.rules, imported); });
    result.table->model_sha256 = source.facts.sha256;
    result.table->data = fmt::format("imported from {}{}", options.table,
                                     ranges.method.empty() ? "" : ", onnxruntime's " + ranges.method);
  }
  plan::resolve_rules(analysis, config.rules);  // each rule matches what it was made for
  result.notes = std::move(imported.notes);
  return result;
}

report::Document summary(const Options& options, const Result& result) {
  report::Document document;
  document.title = fmt::format("{}: {} rules", options.output, result.config["rules"].size());
  if (result.table) {
    document.summary.push_back(
        fmt::format("{}: ranges of {} values", options.calibration_out, result.table->values.size()));
  }
  if (!result.notes.empty()) document.sections.push_back({"needs nothing", {report::Lines{result.notes}}});
  return document;
}

Json summary_json(const Options& options, const Result& result) {
  Json json{{"config", options.output}, {"rules", result.config["rules"].size()}};
  json["calibration"] = result.table ? Json(options.calibration_out) : Json(nullptr);
  json["notes"] = result.notes;
  return json;
}

}  // namespace

int run_import(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("MODEL", options.model, "float ONNX model that the settings are for");
  line.option("-o,--output", options.output, {"CONFIG.json", "config to write, for --config"});
  line.option("--calibration-out", options.calibration_out, {"FILE", "calibration table to write, for --calibration"});
  line.option("--nodes-to-exclude", options.exclude,
              {"FILE", "names of nodes that stay float: one a line, or a JSON array", "settings of onnxruntime"});
  line.option("--tensor-quant-overrides", options.overrides,
              {"FILE", "TensorQuantOverrides as JSON", "settings of onnxruntime"});
  line.option("--calibration-table", options.table,
              {"FILE", "calibration.json, or the cache of quantize_static", "settings of onnxruntime"});
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--output");
  apply_common_options(options.common);
  if (options.exclude.empty() && options.overrides.empty() && options.table.empty()) {
    throw Error(ErrorKind::kUsage, "import: give --nodes-to-exclude, --tensor-quant-overrides or --calibration-table");
  }
  if (options.table.empty() != options.calibration_out.empty()) {
    throw Error(ErrorKind::kUsage, "import: --calibration-table and --calibration-out belong together");
  }
  check_outputs({{"the model", options.model},
                 {"--nodes-to-exclude", options.exclude},
                 {"--tensor-quant-overrides", options.overrides},
                 {"--calibration-table", options.table}},
                {{"--output", options.output}, {"--calibration-out", options.calibration_out}});
  Stages stages(progress_style(options.common));
  const Result result = run(options, stages);
  write_file(options.output, json_text(result.config));
  if (result.table) write_file(options.calibration_out, json_text(calib::to_json(*result.table)));
  print_result(options.common.json() ? json_text(summary_json(options, result))
                                     : report::render_text(summary(options, result)));
  return 0;
}

}  // namespace narrow::apps
