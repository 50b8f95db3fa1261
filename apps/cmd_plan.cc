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
#include "lib/report/report.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "plan",
    .summary = "decide type and parameters of every layer, write them to a file that can be reviewed",
    .examples = {"plan model.onnx --calibration ranges.json -o plan.json",
                 "plan model.onnx --calibration ranges.json --config narrow.json -o plan.json",
                 "quantize model.onnx -o model.int8.onnx --plan plan.json --eval eval.npy"},
    .usage = "plan MODEL --calibration RANGES.json -o PLAN.json [options]"};

struct Options {
  std::string model;
  std::string calibration;
  std::string output;
  ConfigFlags flags;
  CommonOptions common;
};

plan::PrecisionPlan run(const Options& options, const Config& config, Stages& stages) {
  const ModelSource source = open_model(options.model, {{"--output", options.output}}, stages);
  refuse_quantized(source.loaded);
  const graph::Model model = normalize(source.loaded, stages);
  const analyze::Analysis analysis = stages.run("analyze", [&] { return analyze::analyze(model); });
  const Needs needs = plan::calibration_needs(model, analysis, config.rules);
  const calib::CalibrationTable table = read_table(options.calibration);
  in_context(options.calibration, [&] { check_table(table, needs, source.facts.sha256); });
  plan::PrecisionPlan plan =
      stages.run("plan", [&] { return plan::make_plan(model, analysis, ranges_of(table), config.rules); });
  plan.model_sha256 = source.facts.sha256;
  return plan;
}

report::Document summary(const plan::PrecisionPlan& plan, const std::string& output) {
  report::Table floats{.columns = {{"in float"}, {"operator"}, {"decided by"}, {"reason"}}, .rows = {}};
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.decision != plan::Decision::kFloat) continue;
    floats.rows.push_back({layer.node, layer.op_type, layer.rule, layer.reason ? layer.reason->text() : ""});
  }
  report::Document document;
  document.title = fmt::format("{}: {}", output, report::decisions_text(plan));
  if (!floats.rows.empty()) document.sections.push_back({"", {std::move(floats)}});
  return document;
}

}  // namespace

int run_plan(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("MODEL", options.model, "float ONNX model");
  line.option("--calibration", options.calibration, {"RANGES.json", "calibration table of 'narrow calibrate'"});
  line.option("-o,--output", options.output, {"PLAN.json", "plan to write"});
  add_config_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--calibration");
  line.require("--output");
  apply_common_options(options.common);
  check_outputs(
      {{"the model", options.model}, {"--calibration", options.calibration}, {"--config", options.flags.config_path}},
      {{"--output", options.output}});
  const Config config = read_config(options.flags);
  Stages stages(progress_style(options.common));
  const plan::PrecisionPlan plan = run(options, config, stages);
  const Json json = plan::to_json(plan);
  write_file(options.output, json_text(json));
  print_result(options.common.json() ? json_text(json) : report::render_text(summary(plan, options.output)));
  return 0;
}

}  // namespace narrow::apps
