// The patterns by which rules pick nodes.
#pragma once

#include <memory>
#include <string>

namespace re2 {
class RE2;
}

namespace narrow::plan {

/// A regular expression over whole names, in RE2's syntax: no look-around and no back-references, so that every pattern
/// takes time linear in the name. https://github.com/google/re2/wiki/Syntax
class NamePattern {
 public:
  /// Throws Error(kUsage) with the reason if the pattern is not valid.
  explicit NamePattern(const std::string& pattern);
  ~NamePattern();
  NamePattern(NamePattern&&) noexcept;
  NamePattern& operator=(NamePattern&&) = delete;
  NamePattern(const NamePattern&) = delete;
  NamePattern& operator=(const NamePattern&) = delete;

  bool matches(const std::string& name) const;

 private:
  std::unique_ptr<re2::RE2> compiled_;
};

}  // namespace narrow::plan
