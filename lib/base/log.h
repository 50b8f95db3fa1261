#pragma once

#include <spdlog/spdlog.h>

namespace narrow {

/// Sends the log to stderr ("narrow: warning: ..."), at `level` and above. Called once, by apps.
void start_log(spdlog::level::level_enum level);

}  // namespace narrow
