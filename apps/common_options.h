// Options that every subcommand has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/progress.h"

namespace narrow::apps {

struct CommonOptions {
  int threads = 0;  // 0: all processors
  std::string format = "text";
  bool quiet = false;
  bool verbose = false;

  bool json() const { return format == "json"; }
};

void add_common_options(CommandLine& line, CommonOptions& options);

/// Checks them, starts the log and sets the thread count.
void apply_common_options(CommonOptions& options);

/// By the options and by what stderr is.
ProgressStyle progress_style(const CommonOptions& options);

}  // namespace narrow::apps
