// The CPU as an input: validation as another one would compute.
#pragma once

#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/commands.h"
#include "lib/report/report.h"

namespace narrow::apps {

inline constexpr std::string_view kAllIsas = "all";

void add_isa_option(CommandLine& line, std::string& isa, std::string_view text);

/// Caps the integer kernels of this process; "" leaves them as they are. Must come before any model is loaded. Throws
/// Error(kUsage) for an unknown name, Error(kUnsupported) for one that this CPU does not have.
void apply_isa(const std::string& isa);

/// Runs `narrow validate` with these arguments (no --isa, --format, --report among them) in a process of its own for
/// each instruction set that this CPU has below its best, and reads what they report. Gates are not judged. Throws what
/// such a process ends with.
std::vector<report::IsaRun> validate_on_other_isas(const Arguments& arguments);

}  // namespace narrow::apps
