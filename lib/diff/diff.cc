#include "lib/diff/diff.h"

#include <array>

#include "lib/base/json_number.h"

namespace narrow::diff {
namespace {

struct KindRow {
  Kind kind;
  std::string_view name;
  std::string_view format;  // of the JSON file
};

constexpr std::array kKinds{
    KindRow{Kind::kPlan, "plan", "narrow-plan"},
    KindRow{Kind::kCalibration, "calibration table", "narrow-calibration"},
    KindRow{Kind::kReport, "report", "narrow-report"},
    KindRow{Kind::kModel, "model", ""},
};

Json items_json(const std::vector<Item>& items) {
  Json json = Json::array();
  for (const Item& item : items) {
    Json entry{{"name", item.name}};
    if (!item.detail.empty()) entry["detail"] = item.detail;
    if (!item.changes.empty()) entry["changes"] = Json::array();
    for (const Change& change : item.changes) {
      Json one{{"what", change.what}, {"before", change.before}, {"after", change.after}, {"text", change.text}};
      if (change.error) {
        one["sqnr_db"] = json_number(change.error->sqnr_db);
        one["max_abs_error"] = json_number(change.error->max_abs);
      }
      entry["changes"].push_back(std::move(one));
    }
    json.push_back(std::move(entry));
  }
  return json;
}

}  // namespace

std::string_view kind_name(Kind kind) {
  for (const KindRow& row : kKinds) {
    if (row.kind == kind) return row.name;
  }
  return "";
}

std::optional<Kind> kind_of(const Json& json) {
  if (!json.is_object() || !json.contains("format") || !json["format"].is_string()) return std::nullopt;
  const auto format = json["format"].get<std::string>();
  for (const KindRow& row : kKinds) {
    if (!row.format.empty() && row.format == format) return row.kind;
  }
  return std::nullopt;
}

int64_t Diff::differences() const {
  int64_t count = 0;
  for (const Group& group : groups) count += group.differences();
  return count;
}

Json to_json(const Diff& diff) {
  Json json{{"format", "narrow-diff"}, {"version", 1}, {"kind", kind_name(diff.kind)}};
  json["before"] = diff.before;
  json["after"] = diff.after;
  json["differences"] = diff.differences();
  json["notes"] = diff.notes;
  json["groups"] = Json::array();
  for (const Group& group : diff.groups) {
    json["groups"].push_back({{"name", group.name},
                              {"same", group.same},
                              {"changed", items_json(group.changed)},
                              {"removed", items_json(group.removed)},
                              {"added", items_json(group.added)}});
  }
  return json;
}

}  // namespace narrow::diff
