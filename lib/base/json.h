// JSON text in and out, and a strict reader that refuses what it does not know.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/suggest.h"

namespace narrow {

using Json = nlohmann::ordered_json;

/// What is wrong at one path of a JSON document.
class JsonError : public Error {
 public:
  /// `path`: "rules[2].match.op"; "" is the document itself.
  JsonError(std::string path, const std::string& problem);

  const std::string& path() const { return path_; }
  const std::string& problem() const { return problem_; }

 private:
  std::string path_;
  std::string problem_;
};

/// Parses JSON with // and /* */ comments. Throws Error(kUsage) with file, line and column.
Json parse_json(std::string_view text, std::string_view name);
Json read_json(const std::filesystem::path& path);

/// "FILE:LINE: PATH: what is wrong".
Error located(const JsonError& error, std::string_view text, std::string_view name);

/// read(json) of the file's JSON; an error that leaves it says the file, and the line if it has a path.
template <class Read>
auto read_json_as(const std::filesystem::path& path, Read&& read);

/// JSON with two-space indent in which arrays of numbers stand on one line; ends in a newline.
std::string json_text(const Json& value);

/// A float32 as the JSON number with the fewest digits that reads back to the same float32.
Json json_float(float value);

/// One JSON object being read. Every get names its key once; finish() throws for keys nobody asked for.
/// All failures throw JsonError with the path inside the document, such as "rules[2].match.op: expected a string".
class JsonObject {
 public:
  JsonObject(const Json& value, std::string path);

  bool has(const std::string& key) const;
  template <class T>
  T get(const std::string& key) {
    return convert<T>(member(key), key);
  }
  template <class T>
  T get_or(const std::string& key, T otherwise) {
    return has(key) ? get<T>(key) : (note(key), otherwise);
  }
  JsonObject object(const std::string& key) { return JsonObject(member(key), path_of(key)); }
  /// The elements of the array `key`, each to be read as an object.
  std::vector<JsonObject> objects(const std::string& key);
  const Json& raw(const std::string& key) { return member(key); }
  std::vector<std::string> keys() const;
  /// Names keys that the document may have, read or not: finish() accepts and suggests them.
  void allow(std::initializer_list<std::string> keys) { known_.insert(known_.end(), keys); }

  /// Reads "format" and "version", which every file of ours begins with.
  void expect_format(std::string_view format, int64_t version);

  std::string path_of(std::string_view key) const;
  [[noreturn]] void fail(std::string_view key, std::string_view what) const;
  /// body(); an Error that leaves it is what is wrong with this key.
  template <class Body>
  auto checked(std::string_view key, Body&& body) const;
  /// Throws for the first key that was neither read nor offered by get_or, with a suggestion.
  void finish() const;

 private:
  template <class T>
  T convert(const Json& value, const std::string& key) const;
  void note(const std::string& key) { known_.push_back(key); }
  const Json& member(const std::string& key);

  const Json* value_;
  std::string path_;
  std::vector<std::string> known_;
};

template <class Body>
auto JsonObject::checked(std::string_view key, Body&& body) const {
  try {
    return std::forward<Body>(body)();
  } catch (const JsonError&) {
    throw;
  } catch (const Error& error) {
    fail(key, error.what());
  }
}

template <class T>
T JsonObject::convert(const Json& value, const std::string& key) const {
  if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) fail(key, "expected a string");
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) fail(key, "expected true or false");
  } else if constexpr (std::is_integral_v<T>) {
    if (!value.is_number_integer()) fail(key, "expected an integer");
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!value.is_number()) fail(key, "expected a number");
  } else {
    if (!value.is_array()) fail(key, "expected an array");
  }
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(key, "an element has the wrong type");
  }
}

template <class Read>
auto read_json_as(const std::filesystem::path& path, Read&& read) {
  const std::string text = read_text(path);
  const Json json = parse_json(text, path.string());
  try {
    return std::forward<Read>(read)(json);
  } catch (const JsonError& error) {
    throw located(error, text, path.string());
  } catch (Error& error) {
    error.add_context(path.string());
    throw;
  }
}

}  // namespace narrow
