// Where things stand in JSON text. Parsed JSON does not know; the text is searched again when there is something to
// say.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace narrow {

struct JsonPlace {
  size_t line = 1;   // from 1
  std::string path;  // as JsonObject spells it: "rules[2].match"; "" is the document
};

/// Where `path` stands, or the nearest thing around it that is there: "rules[2]" for a "rules[2].match" that is
/// missing. A member stands where its key does. The text may hold comments, and what is not JSON ends the search.
JsonPlace find_in_json(std::string_view text, std::string_view path);

/// The first key that its object has already; nullopt if there is none.
std::optional<JsonPlace> find_repeated_key(std::string_view text);

/// The line of the first number that no float64 holds; nullopt if there is none.
std::optional<size_t> find_too_large_number(std::string_view text);

}  // namespace narrow
