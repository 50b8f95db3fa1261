// Files of a result that may still fail.
#pragma once

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

namespace narrow::apps {

/// A model that could not be validated is no result: unless kept, what was written of it goes.
class WrittenFiles {
 public:
  explicit WrittenFiles(std::vector<std::filesystem::path> files) : files_(std::move(files)) {}
  WrittenFiles(const WrittenFiles&) = delete;
  WrittenFiles& operator=(const WrittenFiles&) = delete;
  ~WrittenFiles() {
    std::error_code ignored;
    for (const auto& file : files_) {
      if (!kept_ && std::filesystem::is_regular_file(file, ignored)) std::filesystem::remove(file, ignored);
    }
  }

  const std::vector<std::filesystem::path>& files() const { return files_; }
  void keep() { kept_ = true; }

 private:
  std::vector<std::filesystem::path> files_;
  bool kept_ = false;
};

}  // namespace narrow::apps
