#include <algorithm>
#include <filesystem>

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/paths.h"
#include "apps/pipeline.h"
#include "apps/report_output.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "quantize",
    .summary = "an FP32 ONNX model into a quantized (QDQ) one, validated on integer kernels",
    .examples = {"quantize model.onnx -o model.int8.onnx --data images/",
                 "quantize model.onnx -o model.int8.onnx --data calib.npy --eval eval.npy --labels labels.npy",
                 "quantize model.onnx -o model.int8.onnx --data calib/ --config narrow.json --report report.html",
                 "quantize model.onnx -o model.int8.onnx --data calib/ --max-top1-drop 1 --labels labels.csv",
                 "quantize model.onnx -o model.int8.onnx --plan reviewed.plan.json"},
    .usage = "quantize MODEL -o OUT.onnx --data DATA [options]"};

struct QuantizeOptions {
  PipelineOptions pipeline;
  ConfigFlags flags;
  std::vector<std::string> reports;
  bool no_speed = false;
  CommonOptions common;
};

void add_options(CommandLine& line, QuantizeOptions& options) {
  PipelineOptions& pipeline = options.pipeline;
  line.positional("MODEL", pipeline.model, "float ONNX model");
  line.option("-o,--output", pipeline.output, {"OUT.onnx", "quantized model to write"});
  line.option("--data", pipeline.data,
              {"DATA", "samples: .npy, .npz, images, test_data_set_*/input_N.pb, raw .bin; a file or folder"});
  add_config_option(line, options.flags);
  line.option("--eval", pipeline.evaluation, {"DATA", "samples to validate on (what calibration leaves of --data)"});
  line.option("--labels", pipeline.labels, {"FILE", "classes of the evaluated samples: .npy, .txt or .csv"});
  add_report_option(line, options.reports);
  line.flag("--no-speed", options.no_speed, {"", "do not measure speed"});
  add_samples_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_recovery_option(line, options.flags);
  line.option("--calibration", pipeline.calibration,
              {"FILE", "ranges from 'narrow calibrate' instead of a run", "calibration"});
  line.option("--calibration-out", pipeline.calibration_out,
              {"FILE", "write the ranges that were found", "calibration"});
  line.option("--plan", pipeline.plan, {"FILE", "take this plan as it is: no calibration, no rules", "plan"});
  line.option("--plan-out", pipeline.plan_out, {"FILE", "write the plan that was used", "plan"});
  add_gate_options(line, options.flags);
  add_common_options(line, options.common);
}

/// The data file beside the model is written only when the model is large; by then it is too late to refuse it.
std::vector<NamedPath> outputs_of(const QuantizeOptions& options) {
  const PipelineOptions& pipeline = options.pipeline;
  std::vector<NamedPath> outputs{{"--output", pipeline.output},
                                 {"--calibration-out", pipeline.calibration_out},
                                 {"--plan-out", pipeline.plan_out}};
  for (const NamedPath& report : named_paths("--report", options.reports)) outputs.push_back(report);
  std::error_code failed;
  const std::string beside = pipeline.output + ".data";
  if (std::filesystem::exists(beside, failed)) outputs.push_back({"the data file of --output", beside});
  return outputs;
}

/// Whether some layer needs data after all is known when the model is read.
bool all_static(const plan::Rules& rules) {
  const auto other = [](const plan::Rule& rule) { return rule.set.mode.value_or(plan::Mode::kStatic); };
  return rules.defaults.mode == plan::Mode::kStatic &&
         std::all_of(rules.rules.begin(), rules.rules.end(),
                     [&](const plan::Rule& rule) { return other(rule) == plan::Mode::kStatic; });
}

void check_options(const QuantizeOptions& options) {
  const PipelineOptions& pipeline = options.pipeline;
  const bool calibrates = pipeline.plan.empty() && pipeline.calibration.empty() && all_static(pipeline.config.rules);
  if (calibrates && pipeline.data.empty()) throw Error(ErrorKind::kUsage, "quantize: option --data is missing");
  if (!pipeline.plan.empty() && !pipeline.calibration.empty()) {
    throw Error(ErrorKind::kUsage, "--plan and --calibration exclude each other: a plan holds its ranges");
  }
  const ConfigFlags& flags = options.flags;
  if (!pipeline.plan.empty() && (flags.method || flags.percentile)) {
    throw Error(ErrorKind::kUsage, "--method and --percentile have no effect with --plan: a plan holds its ranges");
  }
  if (!pipeline.plan.empty() && flags.recovery) {
    throw Error(ErrorKind::kUsage, "--recovery has no effect with --plan: a plan holds its steps");
  }
  if (!pipeline.plan.empty() && !pipeline.calibration_out.empty()) {
    throw Error(ErrorKind::kUsage, "--calibration-out has nothing to write with --plan");
  }
  check_outputs({{"the model", pipeline.model},
                 {"--data", pipeline.data},
                 {"--config", options.flags.config_path},
                 {"--eval", pipeline.evaluation},
                 {"--labels", pipeline.labels},
                 {"--calibration", pipeline.calibration},
                 {"--plan", pipeline.plan}},
                pipeline.outputs);
}

}  // namespace

int run_quantize(const Arguments& arguments) {
  QuantizeOptions options;
  CommandLine line(kHelp);
  add_options(line, options);
  if (!line.parse(arguments)) return 0;
  line.require("--output");
  apply_common_options(options.common);
  PipelineOptions& pipeline = options.pipeline;
  pipeline.outputs = outputs_of(options);
  pipeline.config = read_config(options.flags);
  check_options(options);
  pipeline.workers = options.common.threads;
  pipeline.speed = !options.no_speed;
  const ReportOptions report_options{.files = options.reports,
                                     .labels = pipeline.labels,
                                     .gates = pipeline.config.gates,
                                     .validates = !pipeline.data.empty() || !pipeline.evaluation.empty()};
  check_report_options(report_options);
  Stages stages(progress_style(options.common));
  report::Report report = run_pipeline(pipeline, stages);
  return finish_report(report, report_options, options.common);
}

}  // namespace narrow::apps
