#include "lib/plan/scheme_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "lib/quant/codebook.h"

namespace narrow::plan {
namespace {

constexpr std::array kGranularities{Granularity::kPerTensor, Granularity::kPerChannel, Granularity::kPerBlock};
constexpr std::array kWeightFits{quant::WeightFit::kExtremes, quant::WeightFit::kSquaredError};
constexpr std::array kOperators{Operators::kStandard, Operators::kMicrosoft};
constexpr std::array kRoundings{Rounding::kHalfEven, Rounding::kStochastic, Rounding::kSquant};
constexpr std::array kModes{Mode::kStatic, Mode::kDynamic, Mode::kWeightOnly, Mode::kFloat16, Mode::kBfloat16};

/// One of `choices`, by name.
template <class Choices, class Name>
auto read_choice(JsonObject& object, const std::string& key, const Choices& choices, Name name_of) {
  const std::string name = object.get<std::string>(key);
  std::vector<std::string> names;
  for (const auto choice : choices) {
    if (name_of(choice) == name) return choice;
    names.emplace_back(name_of(choice));
  }
  object.fail(key, fmt::format("'{}' is none of {}{}", name, fmt::join(names, ", "), did_you_mean(name, names)));
}

quant::QuantType read_type_name(JsonObject& object, const std::string& key, const std::vector<std::string>& names) {
  std::vector<quant::QuantType> types;
  for (const std::string& name : names) types.push_back(quant::quant_type_from_name(name));
  return read_choice(object, key, types, quant::name);
}

void read_codebook_options(JsonObject& object, SchemePatch& patch) {
  if (object.has("entries")) {
    patch.entries = object.get<int64_t>("entries");
    if (*patch.entries < quant::kFewestEntries || *patch.entries > quant::kMostEntries) {
      object.fail("entries", fmt::format("must be from {} to {}", quant::kFewestEntries, quant::kMostEntries));
    }
  }
  if (object.has("channels")) {
    patch.codebook_channels = object.get<int64_t>("channels");
    if (*patch.codebook_channels < 1) object.fail("channels", "must be at least 1");
  }
  object.allow({"entries", "channels"});
}

void read_rounding(JsonObject& object, SchemePatch& patch) {
  if (object.has("rounding")) patch.rounding = read_choice(object, "rounding", kRoundings, rounding_name);
  if (object.has("seed")) {
    patch.seed = object.get<int64_t>("seed");
    if (*patch.seed < 0) object.fail("seed", "must be at least 0");
  }
  object.allow({"rounding", "seed"});
}

/// What stands in an object under "weights" beside type and symmetric.
void read_weight_options(JsonObject& object, SchemePatch& patch) {
  if (object.has("reduce_range")) patch.reduce_range = object.get<bool>("reduce_range");
  if (object.has("block")) {
    patch.block = object.get<int64_t>("block");
    if (*patch.block < 2) object.fail("block", "must be at least 2");
    patch.granularity = Granularity::kPerBlock;
  }
  if (object.has("calibrator")) patch.weight_fit = read_choice(object, "calibrator", kWeightFits, weight_fit_name);
  if (object.has("operators")) patch.operators = read_choice(object, "operators", kOperators, operators_name);
  object.allow({"reduce_range", "block", "calibrator", "operators"});
  read_codebook_options(object, patch);
  read_rounding(object, patch);
}

/// "weights" and "activations" are a type's name, or an object of "type" and "symmetric".
void read_type(JsonObject& object, const std::string& key, std::optional<quant::QuantType>& type,
               std::optional<bool>& symmetric, SchemePatch* weights) {
  if (!object.has(key)) return;
  const auto names = weights != nullptr ? quant::weight_type_names() : quant::activation_type_names();
  if (!object.raw(key).is_object()) {
    type = read_type_name(object, key, names);
    return;
  }
  JsonObject inner = object.object(key);
  if (inner.has("type")) type = read_type_name(inner, "type", names);
  if (inner.has("symmetric")) symmetric = inner.get<bool>("symmetric");
  if (weights != nullptr) read_weight_options(inner, *weights);
  inner.allow({"type", "symmetric"});
  inner.finish();
}

}  // namespace

quant::CalibratorSpec read_calibrator(JsonObject& object) {
  quant::CalibratorSpec spec;
  const std::string method = object.get_or<std::string>("method", std::string(calibration_method_name(spec.method)));
  spec.method = object.checked("method", [&] { return quant::calibration_method_from_name(method); });
  spec.percentile = object.get_or<double>("percentile", spec.percentile);
  if (spec.percentile <= 50 || spec.percentile > 100) object.fail("percentile", "must be above 50 and at most 100");
  return spec;
}

void read_rule_settings(JsonObject& object, SchemePatch& patch) {
  if (object.has("keep")) {
    const std::string type = object.get<std::string>("keep");
    if (type != "float32") object.fail("keep", fmt::format("'{}' is not float32", type));
    patch.keep_float = true;
  }
  if (object.has("reason")) patch.keep_reason = object.get<std::string>("reason");
  if (object.has("recovery")) patch.recovery = read_recovery_methods(object, "recovery");
  object.allow({"keep", "reason", "recovery"});
}

SchemePatch read_patch(JsonObject& object) {
  SchemePatch patch;
  read_type(object, "weights", patch.weights, patch.weights_symmetric, &patch);
  read_type(object, "activations", patch.activations, patch.activations_symmetric, nullptr);
  if (object.has("mode")) patch.mode = read_choice(object, "mode", kModes, mode_name);
  if (object.has("granularity")) {
    patch.granularity = read_choice(object, "granularity", kGranularities, granularity_name);
  }
  if (object.has("calibrator")) {
    JsonObject calibrator = object.object("calibrator");
    patch.calibrator = read_calibrator(calibrator);
    calibrator.finish();
  }
  object.allow({"mode", "weights", "activations", "granularity", "calibrator"});
  return patch;
}

Json scheme_json(const LayerScheme& scheme) {
  Json json;
  json["mode"] = mode_name(scheme.mode);
  json["weights"] = {{"type", quant::name(scheme.weights)},
                     {"symmetric", scheme.weights_symmetric},
                     {"reduce_range", scheme.reduce_range}};
  json["activations"] = {{"type", quant::name(scheme.activations)}, {"symmetric", scheme.activations_symmetric}};
  json["granularity"] = granularity_name(scheme.granularity);
  if (scheme.weight_fit) json["weights"]["calibrator"] = weight_fit_name(*scheme.weight_fit);
  if (scheme.granularity == Granularity::kPerBlock) json["weights"]["block"] = scheme.block;
  if (scheme.operators != Operators::kStandard) json["weights"]["operators"] = operators_name(scheme.operators);
  if (scheme.weights == quant::QuantType::kCodebook) {
    json["weights"]["entries"] = scheme.entries;
    if (scheme.codebook_channels > 0) json["weights"]["channels"] = scheme.codebook_channels;
  }
  json["weights"]["rounding"] = rounding_name(scheme.rounding);
  if (scheme.rounding == Rounding::kStochastic) json["weights"]["seed"] = scheme.seed;
  json["calibrator"] = calibrator_text(scheme.calibrator);
  if (scheme.recovery != all_recovery_methods()) json["recovery"] = to_json(scheme.recovery);
  if (scheme.keep_float) json["keep"] = "float32";
  return json;
}

}  // namespace narrow::plan
