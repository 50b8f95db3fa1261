#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/instruction_sets.h"
#include "apps/model_source.h"
#include "apps/paths.h"
#include "apps/pipeline.h"
#include "apps/report_output.h"
#include "apps/versions.h"
#include "lib/rewrite/integer_io.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "validate",
    .summary = "compare a quantized model, on integer kernels, with the float model it was made from",
    .examples = {"validate model.onnx model.int8.onnx --data eval.npy",
                 "validate model.onnx model.int8.onnx --data images/ --labels labels.csv --max-top1-drop 1",
                 "validate model.onnx model.int8.onnx --data eval.npz --report gates.xml --format json",
                 "validate model.onnx model.int8.onnx --data eval.npy --isa all     (the answers on older CPUs)"},
    .usage = "validate FLOAT.onnx QUANTIZED.onnx --data DATA [options]"};

struct Options {
  std::string float_model;
  std::string quantized_model;
  std::string data;
  std::string labels;
  std::vector<std::string> reports;
  bool no_speed = false;
  std::string isa;
  int64_t check_samples = 0;
  ConfigFlags flags;
  CommonOptions common;
};

std::vector<report::IsaRun> on_other_isas(const Options& options) {
  Arguments arguments{options.float_model, options.quantized_model, "--data", options.data};
  const auto add = [&](const char* name, const std::string& value) {
    if (value.empty()) return;
    arguments.emplace_back(name);
    arguments.push_back(value);
  };
  add("--labels", options.labels);
  add("--config", options.flags.config_path);
  add("--threads", std::to_string(options.common.threads));
  add("--check-kernels", std::to_string(options.check_samples));
  return validate_on_other_isas(arguments);
}

report::Report validate_files(const Options& options, const Config& config) {
  Stages stages(progress_style(options.common));
  const std::vector<NamedPath> outputs = named_paths("--report", options.reports);
  const ModelSource original = open_model(options.float_model, outputs, stages);
  const ModelSource quantized = open_model(options.quantized_model, outputs, stages);
  const graph::Model with_float_io = rewrite::with_float_io(quantized.loaded);
  const DataSource data = open_source(options.data, {original.loaded, config.inputs, outputs}, stages);
  report::Report report;
  report.command = "validate";
  report.versions = versions();
  report.float_model = original.facts;
  report.quantized_model = quantized.facts;
  report.options = to_json(config);
  report.evaluation = data.facts(data.reader->size());
  report.validation = run_validation({.float_model = original.loaded,
                                      .quantized = with_float_io,
                                      .data = data,
                                      .samples = remaining_samples(data.reader->size(), {}),
                                      .labels = options.labels,
                                      .workers = options.common.threads,
                                      .speed = !options.no_speed,
                                      .check_samples = options.check_samples},
                                     stages);
  if (options.isa == kAllIsas) report.isas = stages.run("other CPUs", [&] { return on_other_isas(options); });
  report.stages = stages.times();
  return report;
}

}  // namespace

int run_validate(const Arguments& arguments) {
  Options options;
  CommandLine line(kHelp);
  line.positional("FLOAT", options.float_model, "the float model");
  line.positional("QUANTIZED", options.quantized_model, "the quantized model");
  line.option("--data", options.data, {"DATA", "samples to compare on; a file or folder"});
  line.option("--labels", options.labels, {"FILE", "classes of the samples: .npy, .txt or .csv"});
  add_config_option(line, options.flags);
  add_report_option(line, options.reports);
  add_isa_option(line, options.isa,
                 "as a CPU with this instruction set computes: avx2, avx512_core, ...; all: each below this CPU's");
  line.option("--check-kernels", options.check_samples,
              {"N", "samples on which each integer kernel is compared with plain loops; 1 with --isa"});
  line.flag("--no-speed", options.no_speed, {"", "do not measure speed"});
  add_gate_options(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--data");
  if (options.isa != kAllIsas) apply_isa(options.isa);
  if (!options.isa.empty() && !line.given("--check-kernels")) options.check_samples = 1;
  apply_common_options(options.common);
  const Config config = read_config(options.flags);
  const ReportOptions report_options{
      .files = options.reports, .labels = options.labels, .gates = config.gates, .validates = true};
  check_outputs({{"the float model", options.float_model},
                 {"the quantized model", options.quantized_model},
                 {"--data", options.data},
                 {"--labels", options.labels},
                 {"--config", options.flags.config_path}},
                named_paths("--report", options.reports));
  check_report_options(report_options);
  report::Report report = validate_files(options, config);
  return finish_report(report, report_options, options.common);
}

}  // namespace narrow::apps
