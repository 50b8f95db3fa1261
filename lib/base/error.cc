#include "lib/base/error.h"

#include <algorithm>
#include <array>

namespace narrow {
namespace {

struct KindRow {
  ErrorKind kind;
  std::string_view name;
  int exit_code;
};

constexpr std::array kKinds{
    KindRow{ErrorKind::kUsage, "usage", 2},
    KindRow{ErrorKind::kModel, "model", 3},
    KindRow{ErrorKind::kUnsupported, "unsupported", 4},
    KindRow{ErrorKind::kData, "data", 5},
    KindRow{ErrorKind::kInterrupted, "interrupted", 130},
    KindRow{ErrorKind::kInternal, "internal", 70},
};

const KindRow& row(ErrorKind kind) {
  return *std::find_if(kKinds.begin(), kKinds.end(), [&](const KindRow& r) { return r.kind == kind; });
}

}  // namespace

int exit_code(ErrorKind kind) {
  return row(kind).exit_code;
}

std::string_view error_kind_name(ErrorKind kind) {
  return row(kind).name;
}

void Error::add_context(std::string_view context) {
  if (message_.starts_with(fmt::format("{}: ", context))) return;
  message_ = fmt::format("{}: {}", context, message_);
}

void ensure(bool condition, std::string_view what, std::source_location where) {
  if (condition) return;
  throw Error(ErrorKind::kInternal, "{} ({}:{})", what, where.file_name(), where.line());
}

}  // namespace narrow
