// The user's JSON config and the flags that beat it, as one set of effective options.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/command_line.h"
#include "apps/config_extends.h"
#include "calib/data_reader.h"
#include "lib/base/json.h"
#include "lib/plan/recovery.h"
#include "lib/plan/rules.h"
#include "lib/report/gates.h"

namespace narrow::apps {

inline constexpr int64_t kDefaultSamples = 100;

/// What comes from the command line; absent: not given.
struct ConfigFlags {
  std::string config_path;
  std::optional<int64_t> samples;
  std::optional<std::string> method;
  std::optional<double> percentile;
  std::vector<std::string> sets;  // KEY=VALUE, in order
  std::optional<std::string> recovery;
  report::GateLimits gates;
};

/// What is done against the loss of accuracy.
struct RecoveryConfig {
  bool automatic = true;          // by graph and measured gain
  plan::RecoverySteps steps;      // if not: these; empty: none
  std::optional<double> seconds;  // automatic: nothing more is tried after this time
};

struct Config {
  calib::InputConfig inputs;
  plan::Rules rules;
  int64_t samples = kDefaultSamples;
  RecoveryConfig recovery;
  report::GateLimits gates;
};

/// The keys a config may have at its top.
const std::vector<std::string>& config_keys();

/// --config and --set.
void add_config_option(CommandLine& line, ConfigFlags& flags);
void add_calibrator_options(CommandLine& line, ConfigFlags& flags);
void add_recovery_option(CommandLine& line, ConfigFlags& flags);
void add_samples_option(CommandLine& line, ConfigFlags& flags);
void add_gate_options(CommandLine& line, ConfigFlags& flags);

/// A flag beats the config, the config beats the default. Throws Error(kUsage) with the path of what is wrong.
Config read_config(const ConfigFlags& flags);

/// The same from a config that was read.
Config make_config(const ConfigSource& source, const ConfigFlags& flags);

/// The effective options, for reports.
Json to_json(const Config& config);

/// "int8 weights per channel, uint8 activations, percentile 99.999".
std::string recipe_text(const plan::Rules& rules);

}  // namespace narrow::apps
