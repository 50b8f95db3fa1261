#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output.h"
#include "apps/paths.h"
#include "apps/report_output.h"
#include "apps/sensitivity.h"
#include "lib/base/error.h"
#include "lib/base/file.h"

namespace narrow::apps {
namespace {

const CommandHelp kHelp{
    .name = "sensitivity",
    .summary = "measure what quantizing each layer alone loses, and what leaving it alone in float32 gains",
    .examples = {"sensitivity model.onnx --data images/ --labels labels.csv",
                 "sensitivity model.onnx --data calib.npy --group '/encoder/layer.0/*' --report table.html",
                 "sensitivity model.onnx --data calib.npy --set weights=int4 --trail tune.json"},
    .usage = "sensitivity MODEL --data DATA [options]"};

struct Options {
  SensitivityOptions table;
  ConfigFlags flags;
  std::vector<std::string> reports;
  CommonOptions common;
};

std::string render(const SensitivityTable& table, report::ReportFormat format) {
  switch (format) {
    case report::ReportFormat::kJson:
      return json_text(to_json(table));
    case report::ReportFormat::kMarkdown:
      return report::render_markdown(to_document(table));
    case report::ReportFormat::kHtml:
      return report::render_html(to_document(table));
    case report::ReportFormat::kText:
      return report::render_text(to_document(table));
    case report::ReportFormat::kJunit:
      break;  // refused before work starts
  }
  throw Error(ErrorKind::kInternal, "unknown report format");
}

void check_files(const Options& options) {
  const SensitivityOptions& table = options.table;
  check_outputs({{"the model", table.pipeline.model},
                 {"--data", table.pipeline.data},
                 {"--config", options.flags.config_path},
                 {"--labels", table.pipeline.labels}},
                table.pipeline.outputs);
  check_report_files(options.reports);
  for (const std::string& file : options.reports) {
    if (report::report_format_of(file) != report::ReportFormat::kJunit) continue;
    throw Error(ErrorKind::kUsage, "--report '{}': JUnit files hold gates, and sensitivity has none", file);
  }
}

}  // namespace

int run_sensitivity(const Arguments& arguments) {
  Options options;
  PipelineOptions& pipeline = options.table.pipeline;
  CommandLine line(kHelp);
  line.positional("MODEL", pipeline.model, "float ONNX model");
  line.option("--data", pipeline.data, {"DATA", "samples, as for quantize; part calibrates"});
  add_config_option(line, options.flags);
  line.option("--labels", pipeline.labels, {"FILE", "classes of the samples of --data: .npy, .txt or .csv"});
  line.repeated("--group", options.table.groups,
                {"GLOB", "also measure the layers with such names together; repeatable"});
  line.option("--measured", options.table.measured, {"N", "calibration samples that layers are measured on (64)"});
  line.option("--trail", options.table.trail,
              {"FILE", "keep what is found out here; go on from it if it exists; tune takes it too"});
  line.repeated("--report", options.reports, {"FILE", "also write the table: .json .md .html or .txt; repeatable"});
  add_samples_option(line, options.flags);
  add_calibrator_options(line, options.flags);
  add_recovery_option(line, options.flags);
  add_common_options(line, options.common);
  if (!line.parse(arguments)) return 0;
  line.require("--data");
  if (options.table.measured < 1) throw Error(ErrorKind::kUsage, "--measured: must be at least 1");
  apply_common_options(options.common);
  pipeline.outputs = named_paths("--report", options.reports);
  pipeline.outputs.push_back({"--trail", options.table.trail});
  check_files(options);
  pipeline.config = read_config(options.flags);
  pipeline.workers = options.common.threads;
  Stages stages(progress_style(options.common));
  const SensitivityTable table = measure_table(options.table, stages);
  for (const std::string& file : options.reports) write_file(file, render(table, report::report_format_of(file)));
  print_result(render(table, options.common.json() ? report::ReportFormat::kJson : report::ReportFormat::kText));
  return 0;
}

}  // namespace narrow::apps
