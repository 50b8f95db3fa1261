// Golden files: named sections of text in, one section of expected text out.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>

namespace narrow::test {

/// Sections of a golden file by name: a line "--- name" starts each.
using Golden = std::map<std::string, std::string>;

Golden read_golden(const std::filesystem::path& path);

/// Runs `produce` over every .txt file of tests/golden/<folder> and compares its result with the section "expected".
/// With NARROW_UPDATE_GOLDENS=1 in the environment (scripts/update_goldens.sh) it writes that section instead, for a
/// person to review.
void check_goldens(const std::string& folder, const std::function<std::string(const Golden&)>& produce);

}  // namespace narrow::test
