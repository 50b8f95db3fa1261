// The narrow executable as a user runs it.
#pragma once

#include <gmock/gmock.h>

#include <filesystem>
#include <string>

namespace narrow::test {

struct Outcome {
  int exit_code = -1;
  std::string out;  // stdout
  std::string err;  // stderr
};

/// Runs `narrow <arguments>` through the shell, so that redirections work too.
Outcome run_narrow(const std::string& arguments);

/// One line on stderr, which matches, nothing on stdout, and the exit code.
void expect_error(const Outcome& outcome, int exit_code, const testing::Matcher<std::string>& line);

/// Path of the executable.
std::string narrow_program();

/// A .npy file of version 1.0.
std::string npy(const std::string& descriptor, const std::string& shape, const std::string& elements);

/// A folder of its own for one test, removed when it goes.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& content) const;
  /// Names of the files in it, joined by spaces, sorted.
  std::string listing() const;

 private:
  std::filesystem::path folder_;
};

inline const std::string kModel = "tests/data/glyphs.onnx";
inline const std::string kData = "tests/data/glyphs_calib.npy";
inline const std::string kConfig = "tests/data/glyphs.json";
/// Model, data and config of a small run that works; -o is missing.
inline const std::string kQuantize =
    "quantize " + kModel + " --data " + kData + " --config " + kConfig + " --samples 8 --no-speed --quiet";

}  // namespace narrow::test
