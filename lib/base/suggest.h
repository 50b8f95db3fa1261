#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace narrow {

/// The candidate nearest to `word` by edit distance, else one that begins with it or that it begins with; "" if none is
/// near enough to be meant.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

/// "; did you mean 'x'?" for the nearest candidate, or "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

/// The same, or "; known: x, y" where none is near.
std::string suggestion(std::string_view word, std::span<const std::string> candidates);

}  // namespace narrow
