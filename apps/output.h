// stdout is the result; stderr is for people.
#pragma once

#include <string_view>

namespace narrow::apps {

/// The reader of stdout has gone: nothing is left to say to anyone.
struct StdoutClosed {};

/// Writes and flushes. Throws StdoutClosed for a closed pipe, Error(kData) for any other failure.
void print_result(std::string_view text);
void print_error_text(std::string_view text);

}  // namespace narrow::apps
