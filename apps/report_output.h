// Reports and gates of quantize and validate.
#pragma once

#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/common_options.h"
#include "lib/report/report.h"

namespace narrow::apps {

inline constexpr int kGateFailed = 1;

struct ReportOptions {
  std::vector<std::string> files;
  std::string labels;
  report::GateLimits gates;  // effective
  bool validates = true;     // false: there is no data to validate on
};

void add_report_option(CommandLine& line, std::vector<std::string>& files);

/// Throws Error for an extension that no format has and for files that can not be written.
void check_report_files(const std::vector<std::string>& files);

/// Before work starts: extensions known, files writable, gates measurable. Throws Error.
void check_report_options(const ReportOptions& options);

/// One line on stderr for each gate that failed; returns the exit code.
int finish_gates(const std::vector<report::Gate>& gates, const CommonOptions& common);

/// Judges the gates, writes the files, prints the result; returns the exit code.
int finish_report(report::Report& report, const ReportOptions& options, const CommonOptions& common);

}  // namespace narrow::apps
