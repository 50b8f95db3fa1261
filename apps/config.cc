#include "apps/config.h"

#include <fmt/format.h>

#include "apps/config_set.h"
#include "lib/base/error.h"
#include "lib/quant/calibrator_spec.h"
#include "lib/quant/quant_type.h"

namespace narrow::apps {
namespace {

/// Flags take the place of the config's own words, so that one reader checks both.
void apply_flags(Json& json, const ConfigFlags& flags) {
  if (flags.recovery) json["recovery"] = *flags.recovery;
  const bool any = flags.method || flags.percentile || flags.samples;
  if (!any || (json.contains("calibration") && !json["calibration"].is_object())) return;
  Json& calibration = json["calibration"];
  if (flags.method) {
    calibration["method"] = *flags.method;
    if (*flags.method != "percentile") calibration.erase("percentile");
  }
  if (flags.percentile) calibration["percentile"] = *flags.percentile;
  if (flags.percentile && !flags.method) calibration["method"] = "percentile";
  if (flags.samples) calibration["samples"] = *flags.samples;
}

/// The rest of "calibration" belongs to the rules.
int64_t read_samples(const Json& json) {
  if (!json.contains("calibration")) return kDefaultSamples;
  JsonObject calibration(json["calibration"], "calibration");
  const int64_t samples = calibration.get_or<int64_t>("samples", kDefaultSamples);
  if (samples < 1) calibration.fail("samples", "must be at least 1");
  return samples;
}

RecoveryConfig read_recovery(JsonObject& root) {
  RecoveryConfig recovery;
  if (root.has("recovery") && root.raw("recovery").is_array()) {
    recovery.automatic = false;
    recovery.steps = plan::read_recovery_steps(root, "recovery");
  } else {
    const auto name = root.get_or<std::string>("recovery", "auto");
    if (name != "auto" && name != "none") {
      root.fail("recovery", fmt::format("'{}' is none of auto, none or an array of steps", name));
    }
    recovery.automatic = name == "auto";
  }
  if (root.has("recovery_seconds")) {
    recovery.seconds = root.get<double>("recovery_seconds");
    if (!(*recovery.seconds > 0)) root.fail("recovery_seconds", "must be above 0");
  }
  return recovery;
}

Json to_json(const RecoveryConfig& recovery) {
  if (recovery.automatic) return "auto";
  if (recovery.steps.empty()) return "none";
  return plan::to_json(recovery.steps);
}

report::GateLimits merged(report::GateLimits limits, const report::GateLimits& flags) {
  for (const report::GateRow& row : report::gate_table()) {
    if (flags.*row.limit) limits.*row.limit = flags.*row.limit;
  }
  return limits;
}

Config read_checked(Json json, const ConfigFlags& flags) {
  Config config;
  const JsonObject document(json, "");  // refuses anything but an object before flags are put in
  apply_flags(json, flags);
  config.samples = read_samples(json);
  JsonObject root(json, "");
  root.get_or<std::string>("$schema", "");
  root.get_or<std::string>("extends", "");  // put below by ConfigSource
  if (root.has("inputs")) {
    JsonObject inputs = root.object("inputs");
    config.inputs = calib::read_input_config(inputs);
  }
  if (root.has("gates")) {
    JsonObject gates = root.object("gates");
    config.gates = report::read_gates(gates);
  }
  config.gates = merged(config.gates, flags.gates);
  config.recovery = read_recovery(root);
  plan::Rules unsaid;
  const bool recovers = config.recovery.automatic || !config.recovery.steps.empty();
  if (recovers) unsaid.defaults.rounding = plan::Rounding::kSquant;  // it needs no data and no time
  config.rules = plan::read_rules(root, std::move(unsaid));
  // Makes the keys known that are not there, so that a misspelt one gets a suggestion.
  for (const std::string& key : config_keys()) {
    if (!root.has(key)) root.get_or<std::string>(key, "");
  }
  root.finish();
  return config;
}

void check_flags(const ConfigFlags& flags) {
  if (flags.method) in_context("--method", [&] { quant::calibration_method_from_name(*flags.method); });
  if (flags.percentile && flags.method && *flags.method != "percentile") {
    throw Error(ErrorKind::kUsage, "--percentile has no meaning with --method {}", *flags.method);
  }
  if (flags.percentile && !(*flags.percentile > 50 && *flags.percentile <= 100)) {
    throw Error(ErrorKind::kUsage, "--percentile: {} is not above 50 and at most 100", *flags.percentile);
  }
  if (flags.recovery && *flags.recovery != "auto" && *flags.recovery != "none") {
    throw Error(ErrorKind::kUsage, "--recovery: '{}' is none of auto, none; steps stand in the config",
                *flags.recovery);
  }
  for (const report::GateRow& gate : report::gate_table()) {
    const std::optional<double>& limit = flags.gates.*gate.limit;
    const auto problem = limit ? report::limit_problem(gate, *limit) : std::nullopt;
    if (problem) throw Error(ErrorKind::kUsage, "{}: {}", gate.flag, *problem);
  }
  if (flags.samples && *flags.samples < 1) throw Error(ErrorKind::kUsage, "--samples: must be at least 1");
}

}  // namespace

const std::vector<std::string>& config_keys() {
  static const std::vector<std::string> keys{"$schema",          "extends",  "inputs",     "calibration",
                                             "target",           "format",   "integer_io", "recovery",
                                             "recovery_seconds", "defaults", "rules",      "gates"};
  return keys;
}

void add_config_option(CommandLine& line, ConfigFlags& flags) {
  line.option("--config", flags.config_path,
              {"FILE", "JSON config: preprocessing, calibration, rules, gates", "options"});
  line.repeated("--set", flags.sets,
                {"KEY=VALUE", "one setting of the config, such as mode=weight_only or weights.block=32; repeatable"});
}

void add_calibrator_options(CommandLine& line, ConfigFlags& flags) {
  line.option("--method", flags.method,
              {"NAME", "calibrator: minmax, percentile, entropy or mse (percentile)", "calibration"});
  line.option("--percentile", flags.percentile,
              {"P", "share of elements, in percent, that a percentile range keeps (99.999)", "calibration"});
}

void add_recovery_option(CommandLine& line, ConfigFlags& flags) {
  line.option("--recovery", flags.recovery,
              {"NAME", "auto: what gains accuracy by measurement; none: nearest rounding (auto)", "calibration"});
}

void add_samples_option(CommandLine& line, ConfigFlags& flags) {
  line.option("--samples", flags.samples,
              {"N", "calibration samples, spread evenly over the data (100)", "calibration"});
}

void add_gate_options(CommandLine& line, ConfigFlags& flags) {
  for (const report::GateRow& row : report::gate_table()) {
    line.option(std::string(row.flag), flags.gates.*row.limit, {"X", row.help, "gates (exit code 1 when one fails)"});
  }
}

Config make_config(const ConfigSource& source, const ConfigFlags& flags) {
  source.locate([&] { return read_checked(source.json(), {}); });  // a flag must not hide what is wrong in the file
  Json set = source.json();
  for (const std::string& assignment : flags.sets) {
    in_context("--set " + assignment, [&] {
      apply_set(set, assignment);
      read_checked(set, {});
    });
  }
  Config config = source.locate([&] { return read_checked(set, flags); });
  if (source.json().contains("integer_io")) config.rules.integer_io.place = source.place("integer_io");
  for (size_t i = 0; i < config.rules.rules.size(); ++i) {
    config.rules.rules[i].place = source.place(fmt::format("rules[{}]", i));
  }
  return config;
}

Config read_config(const ConfigFlags& flags) {
  check_flags(flags);
  return make_config(flags.config_path.empty() ? ConfigSource() : ConfigSource::read(flags.config_path), flags);
}

Json to_json(const Config& config) {
  Json json{{"inputs", calib::to_json(config.inputs)}, {"samples", config.samples}};
  json.update(plan::to_json(config.rules));
  json["recovery"] = to_json(config.recovery);
  if (config.recovery.seconds) json["recovery_seconds"] = *config.recovery.seconds;
  json["gates"] = report::to_json(config.gates);
  return json;
}

namespace {

std::string rules_text(const plan::Rules& rules, const std::string& text) {
  const size_t count = rules.rules.size();
  return count == 0 ? text : fmt::format("{}, {} rule{}", text, count, count == 1 ? "" : "s");
}

}  // namespace

std::string recipe_text(const plan::Rules& rules) {
  const plan::LayerScheme& scheme = rules.defaults;
  if (scheme.mode == plan::Mode::kFloat16 || scheme.mode == plan::Mode::kBfloat16)
    return rules_text(rules, std::string(plan::mode_name(scheme.mode)));
  std::string text = fmt::format("{} weights {}", quant::name(scheme.weights), plan::granularity_text(scheme));
  if (scheme.mode == plan::Mode::kWeightOnly) {
    text += ", float activations";
  } else if (scheme.mode == plan::Mode::kDynamic) {
    text += ", dynamic uint8 activations";
  } else {
    text +=
        fmt::format(", {} activations, {}", quant::name(scheme.activations), quant::calibrator_text(scheme.calibrator));
  }
  return rules_text(rules, text);
}

}  // namespace narrow::apps
