// Upper and lower case of UTF-8 text, the same in every locale.
#pragma once

#include <string>
#include <string_view>

namespace narrow::exec {

enum class LetterCase { kKeep, kLower, kUpper };

/// ASCII, Latin-1, Latin Extended-A, Greek and Cyrillic letters; everything else stays as it is.
std::string in_case(std::string_view text, LetterCase wanted);

}  // namespace narrow::exec
