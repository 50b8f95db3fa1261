// Options that every subcommand has.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/progress.h"

namespace narrow::apps {

struct CommonOptions {
  std::optional<int64_t> asked_threads;
  int threads = 1;  // effective: what was asked, or all that it may use; set by apply_common_options
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
