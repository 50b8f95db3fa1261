#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lib/plan/rules.h"
#include "lib/plan/scheme_json.h"

namespace narrow::plan {
namespace {

Target read_target(JsonObject& config) {
  const std::string name = config.get<std::string>("target");
  for (const TargetRow& target : targets()) {
    if (target.name == name) return target.target;
  }
  const std::string suggestion = did_you_mean(name, target_names());
  config.fail("target", fmt::format("unknown target '{}'{}", name,
                                    suggestion.empty() ? fmt::format("; known: {}", fmt::join(target_names(), ", "))
                                                       : suggestion));
}

FileFormat read_format(JsonObject& config, const TargetRow& target) {
  const std::string name = config.get<std::string>("format");
  for (const FileFormat format : {FileFormat::kQdq, FileFormat::kQoperator}) {
    if (file_format_name(format) != name) continue;
    if (format == FileFormat::kQoperator && !target.qoperator) {
      config.fail("format", fmt::format("{} reads qdq files only", target.name));
    }
    return format;
  }
  config.fail("format", fmt::format("'{}' is none of qdq, qoperator", name));
}

constexpr std::string_view kIoChoices = "none, inputs, outputs, all or an array of names";

IntegerIo read_integer_io(JsonObject& config) {
  if (config.raw("integer_io").is_array()) {
    return {.inputs = false, .outputs = false, .names = config.get<std::vector<std::string>>("integer_io")};
  }
  const std::string name = config.get<std::string>("integer_io");
  const bool all = name == "all";
  if (!all && name != "none" && name != "inputs" && name != "outputs") {
    config.fail("integer_io", fmt::format("'{}' is none of {}", name, kIoChoices));
  }
  return {.inputs = all || name == "inputs", .outputs = all || name == "outputs", .names = {}};
}

Json to_json(const IntegerIo& io) {
  if (!io.names.empty()) return io.names;
  if (io.inputs && io.outputs) return "all";
  return io.inputs ? "inputs" : io.outputs ? "outputs" : "none";
}

/// What can not be meant: settings of one rule that another of its settings makes idle. (Those of "defaults" may come
/// from several files and flags.)
void refuse_contradictions(JsonObject& rule, const SchemePatch& set) {
  const auto weights = [&](const std::string& key) {
    return rule.has("weights") && rule.raw("weights").is_object() && rule.raw("weights").contains(key);
  };
  const auto fail = [&](const std::string& key, const std::string& what) { rule.object("weights").fail(key, what); };
  if (set.keep_float) {
    for (const char* key : {"mode", "weights", "activations", "granularity", "calibrator"}) {
      if (rule.has(key)) rule.fail(key, "a rule with \"keep\" sets nothing else: its nodes stay float32");
    }
  }
  if (set.mode == Mode::kFloat16 || set.mode == Mode::kBfloat16) {
    const std::string why = fmt::format("the mode {} has no other types", mode_name(*set.mode));
    if (set.weights) rule.fail("weights", why);
    if (set.activations) rule.fail("activations", why);
  }
  if (set.weights && *set.weights != quant::QuantType::kCodebook) {
    for (const char* key : {"entries", "channels"}) {
      if (weights(key)) fail(key, fmt::format("is of codebooks, and the type is {}", quant::name(*set.weights)));
    }
  }
  if (weights("seed") && set.rounding && *set.rounding != Rounding::kStochastic) {
    fail("seed", fmt::format("is of stochastic rounding, and the rounding is {}", rounding_name(*set.rounding)));
  }
  if (weights("block") && set.granularity && *set.granularity != Granularity::kPerBlock) {
    fail("block", fmt::format("means per_block, and the granularity is {}", granularity_name(*set.granularity)));
  }
  if (set.calibrator && set.calibrator->method != quant::CalibrationMethod::kPercentile &&
      rule.raw("calibrator").contains("percentile")) {
    rule.object("calibrator")
        .fail("percentile", fmt::format("is of the method percentile, and the method is {}",
                                        calibration_method_name(set.calibrator->method)));
  }
}

}  // namespace

Rules read_rules(JsonObject& config, Rules rules) {
  if (config.has("target")) rules.target = read_target(config);
  if (config.has("format")) rules.format = read_format(config, row(rules.target));
  if (config.has("integer_io")) rules.integer_io = read_integer_io(config);
  if (config.has("calibration")) {
    JsonObject calibration = config.object("calibration");
    rules.defaults.calibrator = read_calibrator(calibration);
    calibration.allow({"samples"});  // the pipeline's
    calibration.finish();
  }
  if (config.has("defaults")) {
    JsonObject defaults = config.object("defaults");
    const SchemePatch patch = read_patch(defaults);
    defaults.finish();
    apply_patch(patch, rules.defaults);
  }
  if (!config.has("rules")) return rules;
  size_t index = 0;
  for (JsonObject& object : config.objects("rules")) {
    Rule rule;
    rule.match = read_match(object.object("match"));
    rule.set = read_patch(object);
    rule.optional = object.get_or<bool>("optional", false);
    read_rule_settings(object, rule.set);
    object.finish();
    refuse_contradictions(object, rule.set);
    rule.text = fmt::format("rules[{}] ({})", index++, match_text(rule.match));
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

Json to_json(const Rules& rules) {
  Json json;
  json["target"] = row(rules.target).name;
  if (rules.format != FileFormat::kQdq) json["format"] = file_format_name(rules.format);
  if (const Json io = to_json(rules.integer_io); io != "none") json["integer_io"] = io;
  json["defaults"] = scheme_json(rules.defaults);
  json["rules"] = Json::array();
  for (const Rule& rule : rules.rules) json["rules"].push_back(rule.text);
  return json;
}

}  // namespace narrow::plan
