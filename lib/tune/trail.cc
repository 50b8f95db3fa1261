#include "lib/tune/trail.h"

#include "lib/base/error.h"
#include "lib/base/json_number.h"

namespace narrow::tune {
namespace {

constexpr std::string_view kFormat = "narrow-tune-trail";
constexpr int64_t kVersion = 2;

template <class T>
void put(Json& json, const char* key, const std::optional<T>& value) {
  if (value) json[key] = *value;
}

std::optional<double> read_number(JsonObject& object, const std::string& key) {
  return object.has(key) ? std::optional(object.get<double>(key)) : std::nullopt;
}

Json trial_json(const Trail& trail, const Trial& trial) {
  const Quality& quality = trial.measurement.quality;
  Json json{{"step", trial.step},
            {"bytes", trial.measurement.bytes},
            {"sqnr_db", json_number(quality.sqnr_db)},
            {"cosine", quality.cosine},
            {"drop", quality.drop},
            {"expected_drop", quality.expected_drop},
            {"most_drop", quality.most_drop},
            {"sqnr_error", quality.sqnr_error},
            {"kept", trial.kept}};
  put(json, "agreement", quality.agreement);
  put(json, "seconds", trial.measurement.seconds);
  Json& choices = json["choices"] = Json::object();
  for (size_t i = 0; i < trail.nodes.size(); ++i) choices[trail.nodes[i]] = choice_name(trial.choices[i]);
  return json;
}

Trial read_trial(JsonObject object, const std::vector<std::string>& nodes) {
  Trial trial;
  trial.step = object.get<std::string>("step");
  trial.measurement.bytes = object.get<int64_t>("bytes");
  Quality& quality = trial.measurement.quality;
  quality.sqnr_db = number_from_json(object.raw("sqnr_db"));
  quality.cosine = object.get<double>("cosine");
  quality.drop = object.get<double>("drop");
  quality.expected_drop = object.get<double>("expected_drop");
  quality.most_drop = object.get<double>("most_drop");
  quality.sqnr_error = object.get<double>("sqnr_error");
  quality.agreement = read_number(object, "agreement");
  trial.measurement.seconds = read_number(object, "seconds");
  trial.kept = object.get<bool>("kept");
  JsonObject choices = object.object("choices");
  for (const std::string& node : nodes) trial.choices.push_back(choice_from_name(choices.get<std::string>(node)));
  choices.finish();
  object.finish();
  return trial;
}

Json rows_json(const Sensitivity& sensitivity, const char* key) {
  Json rows = Json::array();
  for (const auto& [name, effect] : sensitivity) {
    Json row{{key, name}, {"noise", effect.noise}, {"sqnr_db", json_number(effect.sqnr_db())}};  // for people
    put(row, "divergence", effect.divergence);
    put(row, "agreement", effect.agreement);
    put(row, "top1", effect.top1);
    rows.push_back(std::move(row));
  }
  return rows;
}

Sensitivity read_rows(std::vector<JsonObject> rows, const std::string& key) {
  Sensitivity sensitivity;
  for (JsonObject& row : rows) {
    sensitivity[row.get<std::string>(key)] = {.noise = row.get<double>("noise"),
                                              .divergence = read_number(row, "divergence"),
                                              .agreement = read_number(row, "agreement"),
                                              .top1 = read_number(row, "top1")};
    row.allow({"sqnr_db"});
    row.finish();
  }
  return sensitivity;
}

}  // namespace

Json to_json(const Trail& trail) {
  Json json{{"format", kFormat},
            {"version", kVersion},
            {"model_sha256", trail.model_sha256},
            {"data_sha256", trail.data_sha256},
            {"options", trail.options},
            {"nodes", trail.nodes}};
  if (trail.recovery) json["recovery"] = plan::to_json(*trail.recovery);
  if (trail.held != plan::kHeldFirst) json["held"] = trail.held;
  put(json, "float_seconds", trail.float_seconds);
  json["sensitivity"] = rows_json(trail.sensitivity, "rounded");
  if (!trail.groups.empty()) {
    json["group_samples"] = trail.group_samples;
    json["groups"] = rows_json(trail.groups, "change");
  }
  Json& trials = json["trials"] = Json::array();
  for (const Trial& trial : trail.trials) trials.push_back(trial_json(trail, trial));
  return json;
}

Trail trail_from_json(const Json& json) {
  JsonObject root(json, "");
  root.expect_format(kFormat, kVersion);
  Trail trail;
  trail.model_sha256 = root.get<std::string>("model_sha256");
  trail.data_sha256 = root.get<std::string>("data_sha256");
  trail.options = root.raw("options");
  trail.nodes = root.get<std::vector<std::string>>("nodes");
  if (root.has("recovery")) trail.recovery = plan::read_recovery_steps(root, "recovery");
  trail.held = plan::read_held(root);
  trail.float_seconds = read_number(root, "float_seconds");
  trail.sensitivity = read_rows(root.objects("sensitivity"), "rounded");
  if (root.has("groups")) {
    trail.group_samples = root.get<int64_t>("group_samples");
    trail.groups = read_rows(root.objects("groups"), "change");
  }
  for (JsonObject& trial : root.objects("trials")) trail.trials.push_back(read_trial(trial, trail.nodes));
  root.finish();
  return trail;
}

void check_trail(const Trail& trail, const Trail& now) {
  const auto check = [](bool same, std::string_view what) {
    if (!same) throw Error(ErrorKind::kUsage, "it was made with {}: give another file to begin anew", what);
  };
  check(trail.model_sha256 == now.model_sha256, "another model");
  check(trail.data_sha256 == now.data_sha256, "other data");
  check(trail.options == now.options, "other options");
  check(trail.nodes.empty() || trail.nodes == now.nodes, "other layers");
}

}  // namespace narrow::tune
