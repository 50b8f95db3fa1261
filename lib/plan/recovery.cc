#include "lib/plan/recovery.h"

#include <fmt/format.h>

#include <algorithm>

namespace narrow::plan {
namespace {

constexpr std::string_view kEqualizeName = "equalize";
constexpr std::string_view kRoundName = "round";

RecoveryStep read_step(const JsonObject& object, const std::string& key, const std::string& name, double weight_noise) {
  if (name == kRoundName) return {.method = RecoveryMethod::kRound};
  if (name == kEqualizeName) return {.method = RecoveryMethod::kEqualize, .weight_noise = weight_noise};
  const std::string hint =
      did_you_mean(name, std::vector<std::string>{std::string(kEqualizeName), std::string(kRoundName)});
  object.fail(key, fmt::format("unknown method '{}'{}", name, hint.empty() ? "; known: equalize, round" : hint));
}

RecoveryStep read_element(const JsonObject& object, const std::string& key, const Json& element) {
  if (element.is_string()) return read_step(object, key, element.get<std::string>(), 1);
  JsonObject step(element, object.path_of(key));
  const auto name = step.get<std::string>("method");
  const auto weight_noise = step.get_or<double>("weight_noise", 1);
  if (!(weight_noise >= 0 && weight_noise <= 1000)) step.fail("weight_noise", "must be from 0 to 1000");
  step.finish();
  return read_step(object, key, name, weight_noise);
}

}  // namespace

std::string_view recovery_method_name(RecoveryMethod method) {
  return method == RecoveryMethod::kEqualize ? kEqualizeName : kRoundName;
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
  for (const RecoveryStep& step : steps) {
    Json entry{{"method", recovery_method_name(step.method)}};
    if (step.method == RecoveryMethod::kEqualize) entry["weight_noise"] = step.weight_noise;
    json.push_back(std::move(entry));
  }
  return json;
}

RecoverySteps read_recovery_steps(JsonObject& object, const std::string& key) {
  const Json& array = object.raw(key);
  if (!array.is_array()) object.fail(key, "expected an array of steps");
  RecoverySteps steps;
  for (const Json& element : array) {
    const RecoveryStep step = read_element(object, key, element);
    const bool repeated = std::any_of(steps.begin(), steps.end(), [&](const RecoveryStep& earlier) {
      return earlier.method == step.method || earlier.method == RecoveryMethod::kRound;
    });
    if (repeated) object.fail(key, "each method once, and 'round' last");
    steps.push_back(step);
  }
  return steps;
}

Json to_json(const RecoveryRecord& record) {
  return {{"steps", to_json(record.steps)}, {"data_sha256", record.data_sha256}, {"samples", record.samples}};
}

RecoveryRecord read_recovery_record(JsonObject object) {
  RecoveryRecord record;
  record.steps = read_recovery_steps(object, "steps");
  record.data_sha256 = object.get<std::string>("data_sha256");
  record.samples = object.get<int64_t>("samples");
  if (record.samples < 1) object.fail("samples", "must be at least 1");
  object.finish();
  return record;
}

}  // namespace narrow::plan
