#pragma once

#include <filesystem>
#include <vector>

namespace narrow {

/// A folder, made with those above it that are missing. Which of them it made and nobody has put anything into are
/// removed when it goes out of scope.
class MadeFolder {
 public:
  /// Throws Error(kData) where `path` is no folder and can not become one.
  explicit MadeFolder(const std::filesystem::path& path);
  ~MadeFolder();
  MadeFolder(const MadeFolder&) = delete;
  MadeFolder& operator=(const MadeFolder&) = delete;

 private:
  void remove_empty() const;

  std::vector<std::filesystem::path> made_;  // the innermost first
};

}  // namespace narrow
