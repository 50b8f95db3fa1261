#include <algorithm>
#include <array>
#include <cmath>

#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/report_output.h"
#include "apps/tune.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "tune",
    .summary = "search the cheapest mixed precision that keeps a limit, by measurement; write its model and plan",
    .examples =
        {"tune model.onnx -o model.mixed.onnx --data images/ --max-drop 0.5",
         "tune model.onnx -o model.mixed.onnx --data images/ --labels labels.csv --max-drop 1",
         "tune model.onnx -o model.mixed.onnx --data calib.npy --max-size 0.15 --plan-out mixed.plan.json",
         "tune model.onnx -o model.mixed.onnx --data calib.npy --max-latency 2.5 --threads 2",
         "tune model.onnx -o model.mixed.onnx --data calib.npy --min-speedup 1.5",
         "tune model.onnx -o model.mixed.onnx --data calib.npy --min-sqnr 30 --trail tune.json --report r.html"},
    .usage =
        "tune MODEL -o OUT.onnx --data DATA"
        " (--max-drop X | --max-size R | --max-latency MS | --min-speedup R | --min-sqnr X) [options]"};

struct Limits {
  std::optional<double> max_drop;
  std::optional<double> max_size;
  std::optional<double> max_latency;
  std::optional<double> min_speedup;
  std::optional<double> min_sqnr;
};

struct Options {
  TuneOptions tune;
  Limits limits;
  ConfigFlags flags;
  std::vector<std::string> reports;
  bool no_speed = false;
  CommonOptions common;
};

void add_options(CommandLine& line, Options& options) {
  PipelineOptions& pipeline = options.tune.pipeline;
  line.positional("MODEL", pipeline.model, "float ONNX model");
  line.option("-o,--output", pipeline.output, {"OUT.onnx", "quantized model to write"});
  line.option("--data", pipeline.data, {"DATA", "samples, as for quantize; part calibrates, part judges"});
  line.option("--max-drop", options.limits.max_drop,
              {"POINTS", "points of top-1 (with --labels), agreement or cosine lost at most", "limit, one of"});
  line.option("--max-size", options.limits.max_size,
              {"R", "size of the file against the float model's", "limit, one of"});
  line.option("--max-latency", options.limits.max_latency,
              {"MS", "milliseconds of one run on this machine, on integer kernels", "limit, one of"});
  line.option("--min-speedup", options.limits.min_speedup,
              {"R", "how many times as fast as the float model, both measured in turn", "limit, one of"});
  line.option("--min-sqnr", options.limits.min_sqnr, {"DB", "SQNR of the outputs, mean over them", "limit, one of"});
  line.option("--trials", options.tune.trials, {"N", "measurements at most (16)", "search"});
  line.option("--seconds", options.tune.seconds, {"S", "begin no trial after this time", "search"});
  line.option("--trail", options.tune.trail,
              {"FILE", "keep what is found out here; go on from it if it exists", "search"});
  line.option("--sensitivity", options.tune.sensitivity, {"FILE", "take the sensitivity table from here", "search"});
  line.option("--sensitivity-out", options.tune.sensitivity_out, {"FILE", "write the sensitivity table", "search"});
  add_config_option(line, options.flags);
  line.option("--eval", pipeline.evaluation, {"DATA", "samples to validate on (what calibration and judges leave)"});
  line.option("--labels", pipeline.labels, {"FILE", "classes of the samples of --data: .npy, .txt or .csv"});
  add_report_option(line, options.reports);
  line.flag("--no-speed", options.no_speed, {"", "do not measure speed"});
  line.option("--plan-out", pipeline.plan_out, {"FILE", "write the plan: quantize --plan gives the same model"});
  add_samples_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_recovery_option(line, options.flags);
  add_common_options(line, options.common);
}

struct LimitRow {
  tune::Limit limit;
  std::string_view flag;
  std::optional<double> Limits::*value;
  bool speedup = false;
};

constexpr std::array kLimits{LimitRow{tune::Limit::kDrop, "--max-drop", &Limits::max_drop},
                             LimitRow{tune::Limit::kBytes, "--max-size", &Limits::max_size},
                             LimitRow{tune::Limit::kSeconds, "--max-latency", &Limits::max_latency},
                             LimitRow{tune::Limit::kSeconds, "--min-speedup", &Limits::min_speedup, true},
                             LimitRow{tune::Limit::kSqnr, "--min-sqnr", &Limits::min_sqnr}};

void take_limit(Options& options) {
  const LimitRow* given = nullptr;
  for (const LimitRow& row : kLimits) {
    const std::optional<double>& value = options.limits.*row.value;
    if (!value) continue;
    if (given != nullptr) throw Error(ErrorKind::kUsage, "{} and {} exclude each other", given->flag, row.flag);
    if (!std::isfinite(*value) || (*value <= 0 && row.limit != tune::Limit::kSqnr)) {
      throw Error(ErrorKind::kUsage, "{}: {} is no limit; give a number above 0", row.flag, *value);
    }
    given = &row;
    options.tune.limit = row.limit;
    options.tune.value = *value;
    options.tune.speedup = row.speedup;
  }
  if (given == nullptr)
    throw Error(ErrorKind::kUsage,
                "tune: give a limit: --max-drop, --max-size, --max-latency, --min-speedup or --min-sqnr");
  const std::optional<double>& seconds = options.tune.seconds;
  if (seconds && !(std::isfinite(*seconds) && *seconds > 0)) {
    throw Error(ErrorKind::kUsage, "--seconds: {} is no time; give a number above 0", *seconds);
  }
  if (options.tune.trials < 1) throw Error(ErrorKind::kUsage, "--trials: must be at least 1");
}

void check_files(Options& options) {
  PipelineOptions& pipeline = options.tune.pipeline;
  pipeline.outputs = {{"--output", pipeline.output},
                      {"--plan-out", pipeline.plan_out},
                      {"--trail", options.tune.trail},
                      {"--sensitivity-out", options.tune.sensitivity_out}};
  for (const NamedPath& report : named_paths("--report", options.reports)) pipeline.outputs.push_back(report);
  check_outputs({{"the model", pipeline.model},
                 {"--data", pipeline.data},
                 {"--config", options.flags.config_path},
                 {"--eval", pipeline.evaluation},
                 {"--labels", pipeline.labels},
                 {"--sensitivity", options.tune.sensitivity}},
                pipeline.outputs);
}

}  // namespace

int run_tune(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  add_options(line, options);
  if (!line.parse(arguments)) return 0;
  line.require("--output");
  line.require("--data");
  take_limit(options);
  apply_common_options(options.common);
  check_files(options);
  PipelineOptions& pipeline = options.tune.pipeline;
  pipeline.config = read_config(options.flags);
  pipeline.workers = options.common.threads;
  pipeline.speed = !options.no_speed;
  const ReportOptions report_options{.files = options.reports,
                                     .labels = pipeline.evaluation.empty() ? pipeline.labels : "",
                                     .gates = pipeline.config.gates,
                                     .validates = true};
  check_report_options(report_options);
  Stages stages(progress_style(options.common));
  TuneOutcome outcome = run_tune(options.tune, stages);
  const int code = finish_report(outcome.report, report_options, options.common);
  if (outcome.interrupted) return exit_code(ErrorKind::kInterrupted);
  if (!outcome.kept && !options.common.quiet) {
    print_error_text(fmt::format("narrow: the limit ({}) is not kept; nearest: {}\n", outcome.report.tuning->limit,
                                 outcome.nearest));
  }
  return outcome.kept ? code : kGateFailed;
}

}  // namespace narrow::apps
