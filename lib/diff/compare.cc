#include "lib/diff/compare.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "lib/report/format.h"

namespace narrow::diff {
namespace {

constexpr size_t kSpelledOut = 6;  // elements of an array
constexpr size_t kHashSize = 64;
constexpr size_t kHashShown = 12;

enum class Unit { kPlain, kShare, kDecibel, kBytes };

struct UnitRow {
  std::string_view ending;  // of the field's name
  Unit unit;
};

constexpr std::array kUnits{
    UnitRow{"_bytes", Unit::kBytes},         UnitRow{"agreement", Unit::kShare},
    UnitRow{"mac_share", Unit::kShare},      UnitRow{"node_share", Unit::kShare},
    UnitRow{"sqnr_db", Unit::kDecibel},      UnitRow{"top1_float", Unit::kShare},
    UnitRow{"top1_quantized", Unit::kShare}, UnitRow{"top5_float", Unit::kShare},
    UnitRow{"top5_quantized", Unit::kShare},
};

Unit unit_of(std::string_view field) {
  const auto row =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const UnitRow& r) { return field.ends_with(r.ending); });
  return row == kUnits.end() ? Unit::kPlain : row->unit;
}

bool is_numbers(const Json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const Json& element) { return element.is_number(); });
}

bool is_hash(const std::string& text) {
  return text.size() == kHashSize && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string number(double value) {
  return fmt::format("{:.6g}", value);
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "none";
  if (value.is_string()) {
    const auto text = value.get<std::string>();
    return is_hash(text) ? text.substr(0, kHashShown) + "..." : text;
  }
  if (value.is_number_float()) return number(value.get<double>());
  if (!value.is_array()) return value.dump();
  if (value.size() > kSpelledOut) return fmt::format("{} elements", value.size());
  std::vector<std::string> parts;
  for (const Json& element : value) parts.push_back(value_text(element));
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

/// Of arrays of numbers that are as long.
std::string numbers_text(const Json& before, const Json& after) {
  int64_t differing = 0;
  double largest = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const auto a = before[i].get<double>();
    const auto b = after[i].get<double>();
    if (a == b) continue;
    ++differing;
    largest = std::max(largest, std::abs(b - a) / std::max(std::abs(a), std::abs(b)));
  }
  return fmt::format("{} of {} differ, by {:.3g} % at most", differing, before.size(), 100 * largest);
}

std::string numeric_text(Unit unit, double before, double after) {
  switch (unit) {
    case Unit::kShare:
      return fmt::format("{} -> {} ({:+.2f} points)", report::percent_text(before), report::percent_text(after),
                         100 * (after - before));
    case Unit::kDecibel:
      return fmt::format("{:.2f} -> {:.2f} dB ({:+.2f})", before, after, after - before);
    case Unit::kBytes:
    case Unit::kPlain:
      break;
  }
  const bool exact = number(before) == number(after);
  std::string text =
      exact ? fmt::format("{} -> {}", before, after) : fmt::format("{} -> {}", number(before), number(after));
  if (unit == Unit::kBytes) {
    text = fmt::format("{} -> {}", report::count_text(static_cast<int64_t>(before)),
                       report::count_text(static_cast<int64_t>(after)));
  }
  const bool whole = before == std::floor(before) && after == std::floor(after);
  if (before == 0 || (whole && unit == Unit::kPlain)) return text;  // versions, zero points
  return text + fmt::format(" ({:+.3g} %)", 100 * (after - before) / std::abs(before));
}

/// The members of `value` and of the objects inside it, by path, in order; an empty object and anything else is a leaf.
void take_apart(const Json& value, const std::string& path, std::vector<std::pair<std::string, const Json*>>& leaves) {
  if (!value.is_object() || (value.empty() && !path.empty())) {
    leaves.emplace_back(path, &value);
    return;
  }
  for (const auto& [key, member] : value.items()) take_apart(member, path.empty() ? key : path + "." + key, leaves);
}

bool is_ignored(const std::string& path, std::span<const std::string_view> ignored) {
  return std::find(ignored.begin(), ignored.end(), path) != ignored.end();
}

/// Entries by name; the later ones of equal names get a number.
std::vector<Entry> numbered(std::vector<Entry> entries) {
  std::map<std::string, int> seen;
  for (Entry& entry : entries) {
    const int count = ++seen[entry.name];
    if (count > 1) entry.name += fmt::format(" ({})", count);
  }
  return entries;
}

}  // namespace

std::string change_text(std::string_view field, const Json& before, const Json& after) {
  if (before.is_number() && after.is_number()) {
    return numeric_text(unit_of(field), before.get<double>(), after.get<double>());
  }
  const bool long_numbers = is_numbers(before) && is_numbers(after) && before.size() > kSpelledOut;
  if (long_numbers && before.size() == after.size()) return numbers_text(before, after);
  return fmt::format("{} -> {}", value_text(before), value_text(after));
}

std::vector<Change> compare_objects(const Json& before, const Json& after, std::span<const std::string_view> ignored) {
  std::vector<std::pair<std::string, const Json*>> old_leaves;
  std::vector<std::pair<std::string, const Json*>> new_leaves;
  take_apart(before, "", old_leaves);
  take_apart(after, "", new_leaves);
  std::map<std::string, const Json*> news(new_leaves.begin(), new_leaves.end());
  std::vector<Change> changes;
  const auto add = [&](const std::string& path, const Json& was, const Json& is) {
    if (was != is && !is_ignored(path, ignored)) changes.push_back({path, was, is, change_text(path, was, is)});
  };
  for (const auto& [path, value] : old_leaves) {
    const auto found = news.find(path);
    add(path, *value, found == news.end() ? Json() : *found->second);
    if (found != news.end()) news.erase(found);
  }
  for (const auto& [path, value] : new_leaves) {
    if (news.contains(path)) add(path, Json(), *value);
  }
  return changes;
}

Group compare_entries(std::string name, const std::vector<Entry>& before, const std::vector<Entry>& after,
                      std::span<const std::string_view> ignored) {
  Group group{.name = std::move(name)};
  const std::vector<Entry> news = numbered(after);
  std::map<std::string, const Entry*> by_name;
  for (const Entry& entry : news) by_name[entry.name] = &entry;
  for (const Entry& entry : numbered(before)) {
    const auto found = by_name.find(entry.name);
    if (found == by_name.end()) {
      group.removed.push_back({entry.name, entry.detail});
      continue;
    }
    std::vector<Change> changes = compare_objects(*entry.fields, *found->second->fields, ignored);
    if (changes.empty()) {
      ++group.same;
    } else {
      group.changed.push_back({entry.name, entry.detail, std::move(changes)});
    }
    by_name.erase(found);
  }
  for (const Entry& entry : news) {
    if (by_name.contains(entry.name)) group.added.push_back({entry.name, entry.detail});
  }
  return group;
}

Group compare_fields(std::string name, const Json& before, const Json& after,
                     std::span<const std::string_view> ignored) {
  Group group{.name = std::move(name)};
  std::vector<std::pair<std::string, const Json*>> leaves;
  take_apart(before, "", leaves);
  for (Change& change : compare_objects(before, after, ignored)) {
    const std::string field = std::exchange(change.what, "");
    group.changed.push_back({field, "", {std::move(change)}});
  }
  const auto kept = std::count_if(leaves.begin(), leaves.end(), [&](const auto& leaf) {
    return !is_ignored(leaf.first, ignored) && std::none_of(group.changed.begin(), group.changed.end(),
                                                            [&](const Item& i) { return i.name == leaf.first; });
  });
  group.same = kept;
  return group;
}

}  // namespace narrow::diff
