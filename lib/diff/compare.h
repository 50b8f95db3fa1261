// Differences between two JSON values, in words.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/diff/diff.h"

namespace narrow::diff {

/// Two values of the field in words, with the unit that the field's name says ("..._bytes", "agreement", ...).
std::string change_text(std::string_view field, const Json& before, const Json& after);

/// Each field that differs, objects inside taken apart ("weights.type"). Fields in `ignored` (whole paths) are passed
/// over.
std::vector<Change> compare_objects(const Json& before, const Json& after, std::span<const std::string_view> ignored);

/// A named thing of a group.
struct Entry {
  std::string name;
  std::string detail;
  const Json* fields = nullptr;
};

/// Entries of one name are compared field by field; of several with one name, the first with the first and so on.
Group compare_entries(std::string name, const std::vector<Entry>& before, const std::vector<Entry>& after,
                      std::span<const std::string_view> ignored);

/// Each field of an object as an item of its own.
Group compare_fields(std::string name, const Json& before, const Json& after,
                     std::span<const std::string_view> ignored);

}  // namespace narrow::diff
