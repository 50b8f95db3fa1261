#pragma once

#include "apps/commands.h"

namespace narrow::apps {

/// The whole program but for the end of errors: `arguments` without the program's name; returns the exit code.
int run_cli(const Arguments& arguments);

}  // namespace narrow::apps
