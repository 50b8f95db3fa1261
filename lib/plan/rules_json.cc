#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "lib/plan/name_pattern.h"
#include "lib/plan/rules.h"

namespace narrow::plan {
namespace {

constexpr std::array kLayerTypes{quant::QuantType::kInt8, quant::QuantType::kUint8};

quant::QuantType read_layer_type(JsonObject& object, const std::string& key) {
  const std::string name = object.get<std::string>(key);
  std::vector<std::string> names;
  for (const quant::QuantType type : kLayerTypes) {
    if (quant::name(type) == name) return type;
    names.emplace_back(quant::name(type));
  }
  object.fail(key, fmt::format("'{}' is none of {}", name, fmt::join(names, ", ")));
}

Granularity read_granularity(JsonObject& object, const std::string& key) {
  const std::string name = object.get<std::string>(key);
  for (const Granularity granularity : {Granularity::kPerTensor, Granularity::kPerChannel}) {
    if (granularity_name(granularity) == name) return granularity;
  }
  object.fail(key, fmt::format("'{}' is none of per_tensor, per_channel", name));
}

/// "weights" and "activations" are a type's name, or an object of "type" and "symmetric".
void read_type(JsonObject& object, const std::string& key, std::optional<quant::QuantType>& type,
               std::optional<bool>& symmetric, SchemePatch* weights) {
  if (!object.has(key)) return;
  if (!object.raw(key).is_object()) {
    type = read_layer_type(object, key);
    return;
  }
  JsonObject inner = object.object(key);
  if (inner.has("type")) type = read_layer_type(inner, "type");
  if (inner.has("symmetric")) symmetric = inner.get<bool>("symmetric");
  if (weights != nullptr && inner.has("reduce_range")) weights->reduce_range = inner.get<bool>("reduce_range");
  inner.allow({"type", "symmetric"});
  if (weights != nullptr) inner.allow({"reduce_range"});
  inner.finish();
}

quant::CalibratorSpec read_calibrator(JsonObject& object) {
  quant::CalibratorSpec spec;
  const std::string method = object.get_or<std::string>("method", std::string(calibration_method_name(spec.method)));
  try {
    spec.method = quant::calibration_method_from_name(method);
  } catch (Error& error) {
    error.add_context(object.path_of("method"));
    throw;
  }
  spec.percentile = object.get_or<double>("percentile", spec.percentile);
  if (spec.percentile <= 50 || spec.percentile > 100) object.fail("percentile", "must be above 50 and at most 100");
  return spec;
}

void read_keep(JsonObject& object, SchemePatch& patch) {
  if (object.has("keep")) {
    const std::string type = object.get<std::string>("keep");
    if (type != "float32") object.fail("keep", fmt::format("'{}' is not float32", type));
    patch.keep_float = true;
  }
  if (object.has("reason")) patch.keep_reason = object.get<std::string>("reason");
  object.allow({"keep", "reason"});
}

SchemePatch read_patch(JsonObject& object) {
  SchemePatch patch;
  read_type(object, "weights", patch.weights, patch.weights_symmetric, &patch);
  read_type(object, "activations", patch.activations, patch.activations_symmetric, nullptr);
  if (object.has("granularity")) patch.granularity = read_granularity(object, "granularity");
  if (object.has("calibrator")) {
    JsonObject calibrator = object.object("calibrator");
    patch.calibrator = read_calibrator(calibrator);
    calibrator.finish();
  }
  object.allow({"weights", "activations", "granularity", "calibrator"});
  return patch;
}

Match read_match(JsonObject object) {
  Match match;
  if (object.has("name")) match.name = object.get<std::string>("name");
  if (object.has("op")) match.op = object.get<std::string>("op");
  if (object.has("regex")) {
    match.regex = object.get<std::string>("regex");
    in_context(object.path_of("regex"), [&] { return NamePattern(*match.regex); });
  }
  object.allow({"name", "regex", "op"});
  object.finish();
  if (!match.name && !match.op && !match.regex) object.fail("", "needs name, regex or op");
  return match;
}

std::string rule_text(size_t index, const Match& match) {
  std::vector<std::string> parts;
  if (match.name) parts.push_back("name " + *match.name);
  if (match.regex) parts.push_back("regex " + *match.regex);
  if (match.op) parts.push_back("op " + *match.op);
  return fmt::format("rules[{}] ({})", index, fmt::join(parts, ", "));
}

Json scheme_json(const LayerScheme& scheme) {
  Json json;
  json["weights"] = {{"type", quant::name(scheme.weights)},
                     {"symmetric", scheme.weights_symmetric},
                     {"reduce_range", scheme.reduce_range}};
  json["activations"] = {{"type", quant::name(scheme.activations)}, {"symmetric", scheme.activations_symmetric}};
  json["granularity"] = granularity_name(scheme.granularity);
  json["calibrator"] = calibrator_text(scheme.calibrator);
  return json;
}

}  // namespace

Rules read_rules(JsonObject& config) {
  Rules rules;
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
    read_keep(object, rule.set);
    object.finish();
    rule.text = rule_text(index++, rule.match);
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

Json to_json(const Rules& rules) {
  Json json;
  json["defaults"] = scheme_json(rules.defaults);
  json["rules"] = Json::array();
  for (const Rule& rule : rules.rules) json["rules"].push_back(rule.text);
  return json;
}

}  // namespace narrow::plan
