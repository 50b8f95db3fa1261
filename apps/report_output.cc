#include "apps/report_output.h"

#include <fmt/format.h>

#include "apps/output.h"
#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/report/warnings.h"

namespace narrow::apps {

void add_report_option(CommandLine& line, std::vector<std::string>& files) {
  line.repeated("--report", files, {"FILE", "also write the report: .json .md .html .txt or .xml (JUnit); repeatable"});
}

void check_report_files(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    report::report_format_of(file);
    check_writable(file);
  }
}

void check_report_options(const ReportOptions& options) {
  check_report_files(options.files);
  for (const report::GateRow& row : report::gate_table()) {
    if (!(options.gates.*row.limit)) continue;
    if (row.needs_labels && options.labels.empty()) {
      throw Error(ErrorKind::kUsage, "gate {} needs labels: give --labels", row.name);
    }
    if (!options.validates && row.name != "max_size_ratio") {
      throw Error(ErrorKind::kUsage, "gate {} needs data to validate on: give --data or --eval", row.name);
    }
  }
}

int finish_report(report::Report& report, const ReportOptions& options, const CommonOptions& common) {
  for (const auto warnings_of : {report::not_finite_warnings, report::lost_warnings}) {
    for (std::string& warning : warnings_of(report)) {
      spdlog::warn("{}", warning);
      report.warnings.push_back(std::move(warning));
    }
  }
  report.gates = report::evaluate_gates(options.gates, report);
  for (const std::string& file : options.files) {
    write_file(file, report::render(report, report::report_format_of(file)));
  }
  const auto format = common.json() ? report::ReportFormat::kJson : report::ReportFormat::kText;
  print_result(report::render(report, format));
  return finish_gates(report.gates, common);
}

int finish_gates(const std::vector<report::Gate>& gates, const CommonOptions& common) {
  for (const report::Gate& gate : gates) {
    if (gate.passed || common.quiet) continue;
    print_error_text(fmt::format("narrow: gate failed: {} is {}, wanted at {} {:.6g}\n", gate.name,
                                 report::got_text(gate, 4), gate.at_most ? "most" : "least", gate.wanted));
  }
  return report::all_passed(gates) ? 0 : kGateFailed;
}

}  // namespace narrow::apps
