// The subcommands: each parses its arguments, does its work, prints its result and returns the exit code.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace narrow::apps {

using Arguments = std::vector<std::string>;

int run_quantize(const Arguments& arguments);
int run_tune(const Arguments& arguments);
int run_sensitivity(const Arguments& arguments);
int run_calibrate(const Arguments& arguments);
int run_plan(const Arguments& arguments);
int run_validate(const Arguments& arguments);
int run_run(const Arguments& arguments);
int run_inspect(const Arguments& arguments);
int run_bench(const Arguments& arguments);
int run_diff(const Arguments& arguments);
int run_import(const Arguments& arguments);

struct Command {
  std::string_view name;
  std::string_view help;  // one line
  int (*run)(const Arguments& arguments);
};

/// In the order of the work.
std::span<const Command> command_table();

}  // namespace narrow::apps
