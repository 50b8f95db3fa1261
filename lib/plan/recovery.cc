#include "lib/plan/recovery.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace narrow::plan {
namespace {

constexpr double kMostWeightNoise = 1000;

/// In the order in which steps may stand.
struct MethodRow {
  RecoveryMethod method;
  std::string_view name;
};
constexpr std::array kMethods{
    MethodRow{RecoveryMethod::kSmooth, "smooth"},     MethodRow{RecoveryMethod::kAlign, "align"},
    MethodRow{RecoveryMethod::kEqualize, "equalize"}, MethodRow{RecoveryMethod::kAbsorb, "absorb"},
    MethodRow{RecoveryMethod::kRanges, "ranges"},     MethodRow{RecoveryMethod::kRound, "round"}};

size_t place_of(RecoveryMethod method) {
  const auto found =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const auto& row) { return row.method == method; });
  return static_cast<size_t>(found - kMethods.begin());
}

RecoveryMethod read_method(const JsonObject& object, const std::string& key, const std::string& name) {
  std::vector<std::string> names;
  for (const MethodRow& row : kMethods) {
    if (row.name == name) return row.method;
    names.emplace_back(row.name);
  }
  const std::string hint = did_you_mean(name, names);
  object.fail(key, fmt::format("unknown method '{}'{}", name,
                               hint.empty() ? fmt::format("; known: {}", fmt::join(names, ", ")) : hint));
}

double read_share(JsonObject& object, const std::string& key, double most) {
  const auto number = object.get<double>(key);
  if (!(number >= 0 && number <= most)) object.fail(key, fmt::format("must be from 0 to {}", most));
  return number;
}

std::vector<SmoothedValue> read_values(JsonObject& step, const std::string& path) {
  const Json& array = step.raw("values");
  if (!array.is_array()) step.fail("values", "expected an array");
  std::vector<SmoothedValue> values;
  for (const Json& element : array) {
    JsonObject value(element, path + ".values");
    values.push_back({.value = value.get<std::string>("value"),
                      .activation_power = read_share(value, "activation_power", 1),
                      .weight_power = read_share(value, "weight_power", 1)});
    value.finish();
  }
  return values;
}

std::vector<float> read_by_channel(JsonObject& input, const std::string& key, bool positive) {
  std::vector<float> numbers;
  for (const double number : input.get<std::vector<double>>(key)) {
    if (!std::isfinite(number) || (positive && !(number > 0))) input.fail(key, "must be finite, factors above 0");
    numbers.push_back(static_cast<float>(number));
  }
  return numbers;
}

std::vector<AlignedInput> read_inputs(JsonObject& step) {
  std::vector<AlignedInput> inputs;
  for (JsonObject& json : step.objects("inputs")) {
    AlignedInput input{.value = json.get<std::string>("value")};
    if (json.has("factors")) input.factors = read_by_channel(json, "factors", true);
    if (json.has("shifts")) input.shifts = read_by_channel(json, "shifts", false);
    input.scale = static_cast<float>(json.get<double>("scale"));
    input.zero_point = json.get<int32_t>("zero_point");
    if (!(input.scale > 0) || !std::isfinite(input.scale)) json.fail("scale", "must be above 0");
    if (input.zero_point < 0 || input.zero_point > 255) json.fail("zero_point", "must be from 0 to 255");
    json.finish();
    inputs.push_back(std::move(input));
  }
  return inputs;
}

RecoveryStep read_element(const JsonObject& object, const std::string& key, const Json& element) {
  if (element.is_string()) return {.method = read_method(object, key, element.get<std::string>())};
  JsonObject json(element, object.path_of(key));
  RecoveryStep step{.method = read_method(object, key, json.get<std::string>("method"))};
  if (step.method == RecoveryMethod::kEqualize && json.has("weight_noise")) {
    step.weight_noise = read_share(json, "weight_noise", kMostWeightNoise);
  }
  if (step.method == RecoveryMethod::kSmooth && json.has("values")) {
    step.values = read_values(json, object.path_of(key));
  }
  if (step.method == RecoveryMethod::kAlign && json.has("inputs")) step.inputs = read_inputs(json);
  json.finish();
  return step;
}

Json step_json(const RecoveryStep& step) {
  Json json{{"method", recovery_method_name(step.method)}};
  if (step.method == RecoveryMethod::kEqualize) json["weight_noise"] = step.weight_noise;
  for (const SmoothedValue& value : step.values) {
    json["values"].push_back(
        {{"value", value.value}, {"activation_power", value.activation_power}, {"weight_power", value.weight_power}});
  }
  for (const AlignedInput& input : step.inputs) {
    Json& written = json["inputs"].emplace_back();
    written = {{"value", input.value}, {"scale", input.scale}, {"zero_point", input.zero_point}};
    if (!input.factors.empty()) written["factors"] = input.factors;
    if (!input.shifts.empty()) written["shifts"] = input.shifts;
  }
  return json;
}

}  // namespace

std::string_view recovery_method_name(RecoveryMethod method) {
  return kMethods.at(place_of(method)).name;
}

bool stands_before(RecoveryMethod a, RecoveryMethod b) {
  return place_of(a) < place_of(b);
}

const RecoveryMethods& all_recovery_methods() {
  static const RecoveryMethods methods = [] {
    RecoveryMethods all;
    for (const MethodRow& row : kMethods) all.push_back(row.method);
    return all;
  }();
  return methods;
}

Json to_json(const RecoveryMethods& methods) {
  if (methods.empty()) return "none";
  if (methods == all_recovery_methods()) return "auto";
  Json json = Json::array();
  for (const RecoveryMethod method : methods) json.push_back(recovery_method_name(method));
  return json;
}

RecoveryMethods read_recovery_methods(JsonObject& object, const std::string& key) {
  const Json& json = object.raw(key);
  if (json == "none") return {};
  if (json == "auto") return all_recovery_methods();
  if (!json.is_array()) object.fail(key, "expected \"auto\", \"none\" or an array of methods");
  RecoveryMethods methods;
  for (const std::string& name : object.get<std::vector<std::string>>(key)) {
    methods.push_back(read_method(object, key, name));
  }
  std::sort(methods.begin(), methods.end(), stands_before);
  methods.erase(std::unique(methods.begin(), methods.end()), methods.end());
  return methods;
}

std::string recovery_text(const RecoverySteps& steps) {
  std::string text;
  for (const RecoveryStep& step : steps) {
    if (!text.empty()) text += ", ";
    text += recovery_method_name(step.method);
    if (step.method == RecoveryMethod::kEqualize) text += fmt::format(" {}", step.weight_noise);
  }
  return text.empty() ? "plain" : text;
}

Json to_json(const RecoverySteps& steps) {
  Json json = Json::array();
  for (const RecoveryStep& step : steps) json.push_back(step_json(step));
  return json;
}

RecoverySteps read_recovery_steps(JsonObject& object, const std::string& key) {
  const Json& array = object.raw(key);
  if (!array.is_array()) object.fail(key, "expected an array of steps");
  RecoverySteps steps;
  for (const Json& element : array) {
    RecoveryStep step = read_element(object, key, element);
    if (!steps.empty() && place_of(step.method) <= place_of(steps.back().method)) {
      object.fail(key, "each method once, 'smooth' first and 'round' last");
    }
    steps.push_back(std::move(step));
  }
  return steps;
}

Json to_json(const RecoveryRecord& record) {
  Json json{{"steps", to_json(record.steps)}, {"data_sha256", record.data_sha256}, {"samples", record.samples}};
  if (record.held != kHeldFirst) json["held"] = record.held;
  return json;
}

int64_t read_held(JsonObject& object) {
  const auto held = object.get_or<int64_t>("held", kHeldFirst);
  if (held < 0 || held >= kHeldShare) object.fail("held", fmt::format("must be from 0 to {}", kHeldShare - 1));
  return held;
}

RecoveryRecord read_recovery_record(JsonObject object) {
  RecoveryRecord record;
  record.steps = read_recovery_steps(object, "steps");
  record.data_sha256 = object.get<std::string>("data_sha256");
  record.samples = object.get<int64_t>("samples");
  if (record.samples < 1) object.fail("samples", "must be at least 1");
  record.held = read_held(object);
  object.finish();
  return record;
}

}  // namespace narrow::plan
