#include "apps/config_extends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "lib/base/file.h"
#include "lib/base/json_place.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRules = "rules[";

void put_over(Json& base, const Json& own) {
  for (const auto& [key, value] : own.items()) {
    Json& below = base[key];
    if (key == "rules" && below.is_array() && value.is_array()) {
      for (const Json& rule : value) below.push_back(rule);
    } else if (below.is_object() && value.is_object()) {
      put_over(below, value);
    } else {
      below = value;
    }
  }
}

size_t count_rules(const Json& json) {
  return json.is_object() && json.contains("rules") && json["rules"].is_array() ? json["rules"].size() : 0;
}

/// The path, an index in front of its rules counted from `first`.
std::string path_in_file(const std::string& path, size_t rule, size_t first) {
  const size_t end = path.find(']');
  return fmt::format("{}{}{}", kRules, rule - first, path.substr(end));
}

std::optional<size_t> rule_of(const std::string& path) {
  if (!path.starts_with(kRules)) return std::nullopt;
  size_t index = 0;
  const char* begin = path.data() + kRules.size();
  if (std::from_chars(begin, path.data() + path.size(), index).ec != std::errc()) return std::nullopt;
  return index;
}

}  // namespace

ConfigSource::ConfigSource(std::string name, std::string text) {
  Json json = parse_json(text, name);
  put({.name = std::move(name), .text = std::move(text)}, std::move(json));
}

void ConfigSource::put(File file, Json own) {
  file.first_rule = count_rules(merged_);
  file.rules = count_rules(own);
  files_.push_back(std::move(file));
  if (files_.size() == 1) {
    merged_ = std::move(own);
  } else {
    put_over(merged_, own);
  }
}

ConfigSource ConfigSource::read_chain(const std::string& path, std::vector<std::string>& chain) {
  const std::string name = fs::weakly_canonical(path).string();
  const bool again = std::find(chain.begin(), chain.end(), name) != chain.end();
  chain.push_back(name);
  if (again) throw Error(ErrorKind::kUsage, "configs extend each other: {}", fmt::join(chain, " -> "));
  ConfigSource own(path, read_text(path));
  if (!own.merged_.is_object() || !own.merged_.contains("extends")) return own;
  const Json base_path = own.merged_["extends"];
  if (!base_path.is_string()) own.locate([] { throw JsonError("extends", "expected a string"); });
  own.merged_.erase("extends");
  const std::string base_name = (fs::path(path).parent_path() / base_path.get<std::string>()).string();
  if (!fs::exists(base_name)) {
    own.locate([&] { throw JsonError("extends", fmt::format("there is no file '{}'", base_name)); });
  }
  ConfigSource base = read_chain(base_name, chain);
  base.locate([&] { const JsonObject document(base.merged_, ""); });
  base.put(std::move(own.files_.front()), std::move(own.merged_));
  return base;
}

ConfigSource ConfigSource::read(const std::string& path) {
  std::vector<std::string> chain;
  return read_chain(path, chain);
}

ConfigSource::Spot ConfigSource::find(const std::string& path) const {
  const std::optional<size_t> rule = rule_of(path);
  Spot best;
  size_t found = 0;  // characters of the path
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
    std::string own_path = path;
    if (rule) {
      if (*rule < file->first_rule || *rule >= file->first_rule + file->rules) continue;
      own_path = path_in_file(path, *rule, file->first_rule);
    }
    const JsonPlace place = find_in_json(file->text, own_path);
    if (best.file != nullptr && place.path.size() <= found) continue;
    found = place.path.size();
    best = {.file = &*file, .line = place.line, .path = own_path};
  }
  return best;
}

std::string ConfigSource::place(const std::string& path) const {
  const Spot spot = find(path);
  return spot.file == nullptr ? "" : fmt::format("{}:{}", spot.file->name, spot.line);
}

Error ConfigSource::located(const JsonError& error) const {
  const Spot spot = find(error.path());
  if (spot.file == nullptr) return {ErrorKind::kUsage, std::string(error.what())};
  const std::string path = spot.path.empty() ? "" : spot.path + ": ";
  return {ErrorKind::kUsage, "{}:{}: {}{}", spot.file->name, spot.line, path, error.problem()};
}

}  // namespace narrow::apps
