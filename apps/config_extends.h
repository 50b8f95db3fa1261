// The text of a config and of the configs it extends: put together, and where each thing in it is from.
#pragma once

#include <string>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/json.h"

namespace narrow::apps {

class ConfigSource {
 public:
  /// Without a file: nothing is set, and errors name no place.
  ConfigSource() = default;
  ConfigSource(std::string name, std::string text);

  /// A config file with the files that it "extends" (paths relative to it) put below it: objects are merged key by key,
  /// rules come behind those of the base, anything else replaces what the base says. Throws Error(kUsage) for what is
  /// no path, and for files that extend each other.
  static ConfigSource read(const std::string& path);

  const Json& json() const { return merged_; }

  /// "FILE:LINE" of a path in json(), such as "rules[3]"; "" without a file.
  std::string place(const std::string& path) const;

  /// body(); a JsonError that leaves it says where it is in which of the files.
  template <class Body>
  auto locate(Body&& body) const {
    try {
      return std::forward<Body>(body)();
    } catch (const JsonError& error) {
      throw located(error);
    } catch (Error& error) {
      if (!files_.empty()) error.add_context(files_.back().name);
      throw;
    }
  }

 private:
  struct File {
    std::string name;
    std::string text;
    size_t first_rule = 0;  // of its own, among all
    size_t rules = 0;
  };
  /// A path of json() in the file that says it.
  struct Spot {
    const File* file = nullptr;
    size_t line = 1;
    std::string path;
  };

  void put(File file, Json own);
  Spot find(const std::string& path) const;
  Error located(const JsonError& error) const;
  static ConfigSource read_chain(const std::string& path, std::vector<std::string>& chain);

  std::vector<File> files_;  // the lowest base first
  Json merged_ = Json::object();
};

}  // namespace narrow::apps
