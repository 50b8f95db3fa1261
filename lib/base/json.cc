#include "lib/base/json.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "lib/base/json_place.h"

namespace narrow {
namespace {

struct Position {
  size_t line = 1;
  size_t column = 1;
};

Position position_of(std::string_view text, size_t offset) {
  Position at;
  for (const char c : text.substr(0, std::min(offset, text.size()))) {
    at.column = c == '\n' ? 1 : at.column + 1;
    at.line += c == '\n' ? 1 : 0;
  }
  return at;
}

bool stands_on_one_line(const Json& value) {
  const auto is_plain = [](const Json& item) { return item.is_primitive(); };
  return value.empty() || (value.is_array() && std::all_of(value.begin(), value.end(), is_plain));
}

void write(const Json& value, size_t indent, std::string& out) {
  if (value.is_primitive() || stands_on_one_line(value)) {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  const bool object = value.is_object();
  out += object ? "{" : "[";
  std::string_view separator = "\n";
  for (auto item = value.begin(); item != value.end(); ++item) {
    out += separator;
    out.append(indent + 2, ' ');
    if (object) out += Json(item.key()).dump(-1, ' ', false, Json::error_handler_t::replace) + ": ";
    write(*item, indent + 2, out);
    separator = ",\n";
  }
  out += "\n";
  out.append(indent, ' ');
  out += object ? "}" : "]";
}

}  // namespace

JsonError::JsonError(std::string path, const std::string& problem)
    : Error(ErrorKind::kUsage, "{}: {}", path.empty() ? "document" : path, problem),
      path_(std::move(path)),
      problem_(problem) {}

Error located(const JsonError& error, std::string_view text, std::string_view name) {
  const std::string path = error.path().empty() ? "" : error.path() + ": ";
  return {ErrorKind::kUsage, "{}:{}: {}{}", name, find_in_json(text, error.path()).line, path, error.problem()};
}

Json parse_json(std::string_view text, std::string_view name) {
  // The library keeps the last of two equal keys; a config that says two things is a mistake.
  std::vector<std::set<std::string>> open_objects;
  bool repeated = false;
  const auto watch_keys = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == Json::parse_event_t::object_end) open_objects.pop_back();
    if (event == Json::parse_event_t::key && !open_objects.back().insert(parsed.get<std::string>()).second) {
      repeated = true;
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(text, watch_keys, true, /*ignore_comments=*/true);
  } catch (const nlohmann::json::parse_error& error) {
    const Position at = position_of(text, error.byte == 0 ? 0 : error.byte - 1);
    throw Error(ErrorKind::kUsage, "{}:{}:{}: not valid JSON", name, at.line, at.column);
  } catch (const nlohmann::json::out_of_range&) {
    throw Error(ErrorKind::kUsage, "{}:{}: a number is too large", name, find_too_large_number(text).value_or(1));
  }
  if (!repeated) return json;
  const JsonPlace place = find_repeated_key(text).value_or(JsonPlace{});
  throw Error(ErrorKind::kUsage, "{}:{}: {}: is given twice", name, place.line, place.path);
}

Json read_json(const std::filesystem::path& path) {
  return parse_json(read_text(path), path.string());
}

std::string json_text(const Json& value) {
  std::string out;
  write(value, 0, out);
  return out + "\n";
}

Json json_float(float value) {
  if (!std::isfinite(value)) return nullptr;
  std::array<char, 64> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return std::strtod(std::string(digits.data(), end).c_str(), nullptr);
}

JsonObject::JsonObject(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {
  if (!value.is_object()) throw JsonError(path_, "expected an object");
}

bool JsonObject::has(const std::string& key) const {
  return value_->contains(key);
}

std::string JsonObject::path_of(std::string_view key) const {
  if (key.empty()) return path_;
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonObject::fail(std::string_view key, std::string_view what) const {
  throw JsonError(path_of(key), std::string(what));
}

const Json& JsonObject::member(const std::string& key) {
  note(key);
  const auto found = value_->find(key);
  if (found == value_->end()) fail(key, "is missing");
  return *found;
}

std::vector<JsonObject> JsonObject::objects(const std::string& key) {
  const Json& array = member(key);
  if (!array.is_array()) fail(key, "expected an array");
  std::vector<JsonObject> result;
  for (size_t i = 0; i < array.size(); ++i) result.emplace_back(array[i], fmt::format("{}[{}]", path_of(key), i));
  return result;
}

void JsonObject::expect_format(std::string_view format, int64_t version) {
  if (get<std::string>("format") != format) fail("format", fmt::format("expected '{}'", format));
  const auto found = get<int64_t>("version");
  if (found != version) {
    fail("version", fmt::format("{} is unknown; this program reads version {}", found, version));
  }
}

std::vector<std::string> JsonObject::keys() const {
  std::vector<std::string> result;
  for (const auto& item : value_->items()) result.push_back(item.key());
  return result;
}

void JsonObject::finish() const {
  for (const auto& item : value_->items()) {
    if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) continue;
    fail(item.key(), "unknown key" + suggestion(item.key(), known_));
  }
}

}  // namespace narrow
