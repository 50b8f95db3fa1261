// Where the things to compare stand in our JSON files.
#include <array>

#include "lib/diff/compare.h"

namespace narrow::diff {
namespace {

enum class Layout {
  kFields,    // an object, each field of its own
  kMembers,   // an object of objects, by key
  kElements,  // an array of objects, by `key`
  kNames,     // an array of strings
};

struct GroupRow {
  std::string_view name;
  std::string_view pointer;  // of the JSON; what is not there or null counts as empty
  Layout layout;
  std::string_view key = {};     // kElements: the field that names an element
  std::string_view detail = {};  // the field that is shown beside the name
};

constexpr std::array kPlan{
    GroupRow{"the plan itself", "", Layout::kFields},
    GroupRow{"layers", "/layers", Layout::kElements, "node", "op"},
    GroupRow{"values", "/values", Layout::kElements, "value"},
    GroupRow{"nodes of the file that are no layers", "/prepared", Layout::kElements, "decision"},
};
constexpr std::array kCalibration{
    GroupRow{"the table itself", "", Layout::kFields},
    GroupRow{"values", "/values", Layout::kMembers},
};
constexpr std::array kReport{
    GroupRow{"the report itself", "", Layout::kFields},
    GroupRow{"float model", "/float_model", Layout::kFields},
    GroupRow{"quantized model", "/quantized_model", Layout::kFields},
    GroupRow{"accuracy", "/validation/outputs", Layout::kElements, "name"},
    GroupRow{"speed", "/validation/speed", Layout::kFields},
    GroupRow{"integer kernels", "/validation/coverage", Layout::kFields},
    GroupRow{"layers", "/plan/layers", Layout::kElements, "node", "op"},
    GroupRow{"nodes on integer kernels", "/validation/coverage/nodes", Layout::kElements, "node", "op"},
    GroupRow{"activations", "/validation/layers", Layout::kElements, "value", "op"},
    GroupRow{"calibration", "/calibration", Layout::kFields},
    GroupRow{"evaluation", "/evaluation", Layout::kFields},
    GroupRow{"recovery", "/recovery", Layout::kFields},
    GroupRow{"options", "/options", Layout::kFields},
    GroupRow{"versions", "/versions", Layout::kFields},
    GroupRow{"warnings", "/warnings", Layout::kNames},
    GroupRow{"gates", "/gates", Layout::kElements, "name"},
};

/// Compared as groups of their own, derived from what is compared, or of the run and not of the result.
constexpr std::array<std::string_view, 25> kIgnored{
    "prepared",
    "layers",
    "values",
    "nodes",
    "outputs",
    "path",
    "seconds",
    "data.path",
    "trials",
    "stages",
    "warnings",
    "notes",
    "gates",
    "reason.code",
    "reason.detail",
    "passed",
    "file_size_ratio",
    "weight_size_ratio",
    "source",
    "isas",
    "repetitions",
    "turns",
    "simulated.sqnr_db",
    "simulated.cosine",
    "simulated.max_abs_error",
};

const Json& at(const Json& json, std::string_view pointer) {
  static const Json nothing;
  const Json::json_pointer where{std::string(pointer)};
  return json.contains(where) ? json.at(where) : nothing;
}

std::string text_of(const Json& object, std::string_view field) {
  const auto found = object.find(std::string(field));
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::vector<Entry> entries_of(const Json& json, const GroupRow& row) {
  static const Json empty = Json::object();
  std::vector<Entry> entries;
  const Json& all = at(json, row.pointer);
  if (row.layout == Layout::kMembers && all.is_object()) {
    for (const auto& [name, fields] : all.items()) entries.push_back({name, "", &fields});
  }
  if (!all.is_array()) return entries;
  for (const Json& element : all) {
    if (element.is_string()) entries.push_back({element.get<std::string>(), "", &empty});
    if (element.is_object()) entries.push_back({text_of(element, row.key), text_of(element, row.detail), &element});
  }
  return entries;
}

/// The object's own fields. Of the document itself, objects inside are groups of their own, but for a plan's recovery.
Json own_fields(const Json& json, const GroupRow& row) {
  Json fields = Json::object();
  const Json& object = at(json, row.pointer);
  if (!object.is_object()) return fields;
  for (const auto& [key, value] : object.items()) {
    const bool group = row.pointer.empty() && value.is_object() && &row != &kPlan.front();
    if (!group && !value.is_null()) fields[key] = value;
  }
  return fields;
}

std::span<const GroupRow> rows_of(Kind kind) {
  if (kind == Kind::kPlan) return kPlan;
  if (kind == Kind::kCalibration) return kCalibration;
  return kReport;
}

}  // namespace

std::vector<Group> compare_files(Kind kind, const Json& before, const Json& after) {
  std::vector<Group> groups;
  for (const GroupRow& row : rows_of(kind)) {
    const std::string name(row.name);
    groups.push_back(row.layout == Layout::kFields
                         ? compare_fields(name, own_fields(before, row), own_fields(after, row), kIgnored)
                         : compare_entries(name, entries_of(before, row), entries_of(after, row), kIgnored));
  }
  return groups;
}

}  // namespace narrow::diff
