#include "lib/plan/name_pattern.h"

#include <re2/re2.h>

#include "lib/base/error.h"

namespace narrow::plan {
namespace {

RE2::Options options() {
  RE2::Options options;
  options.set_log_errors(false);
  return options;
}

}  // namespace

NamePattern::NamePattern(const std::string& pattern) : compiled_(std::make_unique<RE2>(pattern, options())) {
  if (compiled_->ok()) return;
  throw Error(ErrorKind::kUsage, "'{}' is not a regular expression: {}", pattern, compiled_->error());
}

NamePattern::~NamePattern() = default;
NamePattern::NamePattern(NamePattern&&) noexcept = default;

bool NamePattern::matches(const std::string& name) const {
  return RE2::FullMatch(name, *compiled_);
}

}  // namespace narrow::plan
