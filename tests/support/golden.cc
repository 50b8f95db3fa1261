#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>

#include "lib/base/file.h"

namespace narrow::test {
namespace fs = std::filesystem;

Golden read_golden(const fs::path& path) {
  Golden golden;
  std::istringstream lines(read_text(path));
  std::string* section = nullptr;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("--- ")) {
      section = &golden[line.substr(4)];
    } else if (section != nullptr) {
      *section += line + "\n";
    }
  }
  return golden;
}

void check_goldens(const std::string& folder, const std::function<std::string(const Golden&)>& produce) {
  const bool update = std::getenv("NARROW_UPDATE_GOLDENS") != nullptr;
  const fs::path root = fs::path("tests/golden") / folder;
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(root)) files.insert(entry.path());
  ASSERT_FALSE(files.empty()) << root;
  for (const fs::path& file : files) {
    SCOPED_TRACE(file.string());
    const Golden golden = read_golden(file);
    const std::string actual = produce(golden);
    if (!update) {
      const auto expected = golden.find("expected");
      ASSERT_NE(expected, golden.end()) << "no section 'expected'; scripts/update_goldens.sh writes it";
      EXPECT_EQ(actual, expected->second);
      continue;
    }
    const std::string text = read_text(file);
    write_file(file, text.substr(0, text.find("--- expected\n")) + "--- expected\n" + actual);
  }
}

}  // namespace narrow::test
