#include "apps/config_extends.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "lib/base/error.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

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

Json read_chain(const fs::path& path, std::vector<std::string>& chain) {
  const std::string name = fs::weakly_canonical(path).string();
  const bool again = std::find(chain.begin(), chain.end(), name) != chain.end();
  chain.push_back(name);
  if (again) throw Error(ErrorKind::kUsage, "configs extend each other: {}", fmt::join(chain, " -> "));
  Json json = read_json(path);
  if (!json.is_object() || !json.contains("extends")) return json;
  const Json base_path = json["extends"];
  if (!base_path.is_string()) throw Error(ErrorKind::kUsage, "{}: extends: expected a string", path.string());
  json.erase("extends");
  Json base = read_chain(path.parent_path() / base_path.get<std::string>(), chain);
  if (!base.is_object()) throw Error(ErrorKind::kUsage, "{}: extends: the base is no object", path.string());
  put_over(base, json);
  return base;
}

}  // namespace

Json read_extended(const std::string& path) {
  std::vector<std::string> chain;
  return read_chain(path, chain);
}

}  // namespace narrow::apps
