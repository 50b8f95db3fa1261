#include <fmt/format.h>

#include "apps/calibration.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/pipeline.h"
#include "lib/base/file.h"
#include "lib/report/format.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "calibrate",
    .summary = "observe the ranges of a model's activations over data, write them to a file",
    .examples = {"calibrate model.onnx --data images/ -o ranges.json",
                 "calibrate model.onnx --data calib.npy --method percentile --percentile 99.99 -o ranges.json",
                 "quantize model.onnx -o model.int8.onnx --data calib.npy --calibration ranges.json"},
    .usage = "calibrate MODEL --data DATA -o RANGES.json [options]"};

struct Options {
  std::string model;
  std::string data;
  std::string output;
  ConfigFlags flags;
  CommonOptions common;
};

struct Prepared {
  graph::Model model;
  std::string sha256;
  DataSource data;
};

/// Only the normalized model survives: calibration is meant to stay small.
Prepared prepare(const Options& options, const Config& config, Stages& stages) {
  const std::vector<NamedPath> outputs{{"--output", options.output}};
  const ModelSource source = open_model(options.model, outputs, stages);
  refuse_quantized(source.loaded);
  DataSource data = open_source(options.data, {source.loaded, config.inputs, outputs}, stages);
  return {normalize(source.loaded, stages), source.facts.sha256, std::move(data)};
}

calib::CalibrationTable run(const Options& options, const Config& config, Stages& stages) {
  const Prepared prepared = prepare(options, config, stages);
  const Needs needs = stages.run("analyze", [&] {
    return plan::calibration_needs(prepared.model, analyze::analyze(prepared.model), config.rules);
  });
  return calibrate({.model = prepared.model,
                    .needs = needs,
                    .data = &prepared.data,
                    .samples = calibration_samples(prepared.data, config.samples),
                    .model_sha256 = prepared.sha256,
                    .workers = options.common.threads},
                   stages);
}

void print_summary(const calib::CalibrationTable& table, const Options& options, const Stages& stages) {
  const std::vector<std::string> warnings = calibration_warnings(table);
  if (options.common.json()) {
    Json json{{"format", "narrow-calibrate"}, {"version", 1}, {"output", options.output}};
    json["model_sha256"] = table.model_sha256;
    json["data"] = table.data;
    json["samples"] = table.samples;
    json["values"] = table.values.size();
    json["warnings"] = warnings;
    json["stages"] = Json::array();
    for (const auto& stage : stages.times())
      json["stages"].push_back({{"name", stage.name}, {"seconds", stage.seconds}});
    print_result(json_text(json));
    return;
  }
  std::string text =
      fmt::format("{}: ranges of {} from {} in {}\n", options.output,
                  report::plural(static_cast<int64_t>(table.values.size()), "value"),
                  report::plural(table.samples, "sample"), report::seconds_text(stages.seconds("observe")));
  for (const std::string& warning : warnings) text += "  warning: " + warning + "\n";
  print_result(text);
}

}  // namespace

int run_calibrate(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("MODEL", options.model, "float ONNX model");
  line.option("--data", options.data, {"DATA", "calibration samples; a file or folder"});
  line.option("-o,--output", options.output, {"RANGES.json", "calibration table to write"});
  add_config_option(line, options.flags);
  add_samples_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--data");
  line.require("--output");
  apply_common_options(options.common);
  check_outputs({{"the model", options.model}, {"--data", options.data}, {"--config", options.flags.config_path}},
                {{"--output", options.output}});
  const Config config = read_config(options.flags);
  Stages stages(progress_style(options.common));
  const calib::CalibrationTable table = run(options, config, stages);
  write_file(options.output, json_text(calib::to_json(table)));
  print_summary(table, options, stages);
  return 0;
}

}  // namespace narrow::apps
