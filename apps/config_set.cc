#include "apps/config_set.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "apps/config.h"

namespace narrow::apps {
namespace {

std::vector<std::string> split_path(std::string_view path) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('.', begin), path.size());
    parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Json value_of(const std::string& text) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json(text) : value;
}

}  // namespace

void apply_set(Json& config, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  if (equals == 0 || equals == std::string::npos) {
    throw Error(ErrorKind::kUsage, "'{}' is not of the form KEY=VALUE", assignment);
  }
  std::vector<std::string> path = split_path(std::string_view(assignment).substr(0, equals));
  if (std::any_of(path.begin(), path.end(), [](const std::string& part) { return part.empty(); })) {
    throw Error(ErrorKind::kUsage, "'{}': a key between two dots is missing", assignment.substr(0, equals));
  }
  const auto& keys = config_keys();
  if (std::find(keys.begin(), keys.end(), path.front()) == keys.end()) path.insert(path.begin(), "defaults");
  Json* at = &config;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    Json& next = (*at)[path[i]];
    if (next.is_string()) next = Json{{"type", next}};
    if (!next.is_object() && !next.is_null()) {
      throw Error(ErrorKind::kUsage, "'{}' is no object in the config", path[i]);
    }
    at = &next;
  }
  Json& set = (*at)[path.back()];
  Json value = value_of(assignment.substr(equals + 1));
  // A type alone is short for an object: what was set beside it, such as the block, stays.
  const bool type = (path.back() == "weights" || path.back() == "activations") && set.is_object() && value.is_string();
  (type ? set["type"] : set) = std::move(value);
}

}  // namespace narrow::apps
