// What differs between two files of one kind: plans, calibration tables, reports or models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/json.h"

namespace narrow::diff {

enum class Kind { kPlan, kCalibration, kReport, kModel };

/// "plan", "calibration table", "report", "model".
std::string_view kind_name(Kind kind);

/// By the "format" of one of our JSON files; nullopt for any other JSON.
std::optional<Kind> kind_of(const Json& json);

/// How far the values of a weight moved.
struct WeightError {
  double sqnr_db = 0;  // of B's values against A's
  double max_abs = 0;
};

struct Change {
  std::string what;  // path of the field within its item: "weights.scales"; "" where the item is the field
  Json before;       // null: not there
  Json after;
  std::string text;  // in words: "int8 -> int4", "3 of 64 differ, by 2.1 % at most"
  std::optional<WeightError> error = {};
};

/// A layer, a value, a node, a setting.
struct Item {
  std::string name;
  std::string detail;  // such as its operator
  std::vector<Change> changes = {};
};

/// Things of one sort, in the order of A, then what only B has in the order of B.
struct Group {
  std::string name;  // "layers"
  int64_t same = 0;
  std::vector<Item> changed = {};
  std::vector<Item> removed = {};
  std::vector<Item> added = {};

  int64_t differences() const { return static_cast<int64_t>(changed.size() + removed.size() + added.size()); }
};

struct Diff {
  Kind kind = Kind::kPlan;
  std::string before;  // names of the files
  std::string after;
  std::vector<Group> groups = {};
  std::vector<std::string> notes = {};  // how they were compared

  int64_t differences() const;
};

/// Two JSON files of ours that are of one kind; what is measured anew in every run (seconds) is not compared.
std::vector<Group> compare_files(Kind kind, const Json& before, const Json& after);

Json to_json(const Diff& diff);

}  // namespace narrow::diff
