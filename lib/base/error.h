// The one language of errors. Wrong input throws Error; each level adds one piece of context; apps/main.cc ends it.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace narrow {

enum class ErrorKind { kUsage, kModel, kUnsupported, kData, kInterrupted, kInternal };

/// Process exit code of each kind: 2 usage or config, 3 bad model, 4 unsupported, 5 data or I/O, 130 interrupted,
/// 70 internal.
int exit_code(ErrorKind kind);

/// Name of the kind as JSON output spells it: "usage", "model", ...
std::string_view error_kind_name(ErrorKind kind);

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

  template <class First, class... Rest>
  Error(ErrorKind kind, fmt::format_string<First, Rest...> format, First&& first, Rest&&... rest)
      : Error(kind, fmt::format(format, std::forward<First>(first), std::forward<Rest>(rest)...)) {}

  ErrorKind kind() const { return kind_; }
  const char* what() const noexcept override { return message_.c_str(); }

  /// Puts "context: " in front of the message, unless it begins so.
  void add_context(std::string_view context);

 private:
  ErrorKind kind_;
  std::string message_;
};

/// Runs body(); an Error that leaves it carries "context: " in front.
template <class Body>
decltype(auto) in_context(std::string_view context, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(context);
    throw;
  }
}

/// A broken invariant of our own: throws Error(kInternal) naming the source line when the condition is false.
void ensure(bool condition, std::string_view what, std::source_location where = std::source_location::current());

}  // namespace narrow
