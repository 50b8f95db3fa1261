#include <fmt/format.h>

#include "apps/calibration.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/config.h"
#include "apps/data_source.h"
#include "apps/dry_run.h"
#include "apps/model_source.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/pipeline.h"
#include "apps/random_feed.h"
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
                 "quantize model.onnx -o model.int8.onnx --plan plan.json --eval eval.npy",
                 "plan model.onnx --config narrow.json --dry-run",
                 "plan model.onnx --config narrow.json --dry-run --measure --threads 1",
                 "plan model.onnx --config narrow.json --explain /encoder/layer.0/MatMul"},
    .usage = "plan MODEL --calibration RANGES.json -o PLAN.json [options]"};

struct Options {
  std::string model;
  std::string calibration;
  std::string output;
  std::string explained;  // node
  bool dry_run = false;
  bool measure = false;
  std::string data;  // to measure on
  ConfigFlags flags;
  CommonOptions common;
};

struct Analyzed {
  ModelSource source;
  graph::Model model;
  analyze::Analysis analysis;
  std::vector<plan::PreparedNodes> prepared;
};

Analyzed read_model(const Options& options, Stages& stages) {
  ModelSource source = open_model(options.model, {{"--output", options.output}}, stages);
  refuse_quantized(source.loaded);
  std::vector<plan::PreparedNodes> prepared;
  graph::Model model = normalize(source.loaded, stages, &prepared);
  analyze::Analysis analysis = stages.run("analyze", [&] { return analyze::analyze(model); });
  return {std::move(source), std::move(model), std::move(analysis), std::move(prepared)};
}

plan::Ranges read_ranges(const Options& options, const Needs& needs, const std::string& model_sha256) {
  if (options.calibration.empty()) {
    for (const auto& [value, need] : needs) {
      if (need.sources.empty()) continue;
      throw Error(ErrorKind::kUsage, "plan: option --calibration is missing: '{}' needs a range", value);
    }
    return {};
  }
  const calib::CalibrationTable table = read_table(options.calibration);
  in_context(options.calibration, [&] { check_table(table, needs, model_sha256); });
  return ranges_of(table);
}

plan::PrecisionPlan run(const Options& options, const Config& config, Stages& stages) {
  const Analyzed read = read_model(options, stages);
  const Needs needs = plan::calibration_needs(read.model, read.analysis, config.rules);
  const plan::Ranges ranges = read_ranges(options, needs, read.source.facts.sha256);
  plan::PrecisionPlan plan =
      stages.run("plan", [&] { return plan::make_plan(read.model, read.analysis, ranges, config.rules); });
  plan.model_sha256 = read.source.facts.sha256;
  plan.prepared = read.prepared;
  return plan;
}

MeasuredSpeed measure(const Options& options, const Config& config, const Analyzed& read,
                      const plan::PrecisionPlan& plan, Stages& stages) {
  constexpr int64_t kFeeds = 4;
  std::vector<exec::Feed> feeds;
  if (options.data.empty()) {
    feeds.push_back(random_feed(model_inputs(read.source.loaded), 1));
  } else {
    const DataSource data = open_source(options.data, {read.source.loaded, config.inputs, {}}, stages);
    for (const int64_t sample : calibration_samples(data, kFeeds)) feeds.push_back(data.reader->read(sample));
  }
  MeasuredSpeed speed =
      stages.run("measure", [&] { return measure_layers(read.source.loaded, read.model, plan, feeds); });
  speed.threads = options.common.threads;
  speed.random = options.data.empty();
  return speed;
}

/// Nothing is written: what the plan will cost, or why one node becomes what it becomes.
void show(const Options& options, const Config& config, Stages& stages) {
  const Analyzed read = read_model(options, stages);
  if (!options.explained.empty()) {
    const auto gone = explain_prepared(read.prepared, options.explained);
    print_result(
        report::render_text(gone ? *gone : explain(read.model, read.analysis, config.rules, options.explained)));
    return;
  }
  DryRun dry = stages.run(
      "plan", [&] { return dry_run(read.model, read.analysis, config.rules, read.source.facts.file_bytes); });
  dry.plan.prepared = read.prepared;
  if (options.measure) dry.speed = measure(options, config, read, dry.plan, stages);
  print_result(options.common.json() ? json_text(to_json(dry)) : report::render_text(to_document(dry, options.model)));
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
  line.flag("--dry-run", options.dry_run,
            {"", "write nothing: predict size and products, say what stays float; needs no data"});
  line.flag("--measure", options.measure,
            {"", "with --dry-run: predict the speed on this machine, by timing each layer"});
  line.option("--data", options.data, {"DATA", "samples to measure on (random numbers)"});
  line.option("--explain", options.explained, {"NODE", "write nothing: say which rules decide about the node"});
  add_config_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  const bool shows = options.dry_run || !options.explained.empty();
  if (!shows) line.require("--output");
  if (options.measure && !options.dry_run) throw Error(ErrorKind::kUsage, "plan: --measure needs --dry-run");
  if (!options.data.empty() && !options.measure) throw Error(ErrorKind::kUsage, "plan: --data needs --measure");
  apply_common_options(options.common);
  check_outputs(
      {{"the model", options.model}, {"--calibration", options.calibration}, {"--config", options.flags.config_path}},
      {{"--output", options.output}});
  const Config config = read_config(options.flags);
  Stages stages(progress_style(options.common));
  if (shows) {
    show(options, config, stages);
    return 0;
  }
  const plan::PrecisionPlan plan = run(options, config, stages);
  const Json json = plan::to_json(plan);
  write_file(options.output, json_text(json));
  print_result(options.common.json() ? json_text(json) : report::render_text(summary(plan, options.output)));
  return 0;
}

}  // namespace narrow::apps
