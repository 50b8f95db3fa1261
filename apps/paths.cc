#include "apps/paths.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <optional>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/base/progress.h"

namespace narrow::apps {
namespace fs = std::filesystem;

namespace {

bool same_file(const std::string& a, const std::string& b) {
  std::error_code failed;
  const bool same = fs::equivalent(a, b, failed);
  if (!failed) return same;
  // One of them does not exist yet: compare where they would be.
  return fs::weakly_canonical(a, failed) == fs::weakly_canonical(b, failed);
}

/// What makes a file itself, under whatever name; nothing for one that does not exist or is no regular file.
std::optional<std::pair<dev_t, ino_t>> file_identity(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return std::pair(status.st_dev, status.st_ino);
}

}  // namespace

void check_outputs(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto& [option, path] = outputs[i];
    std::error_code failed;
    if (path.empty()) continue;
    for (const NamedPath& input : inputs) {
      if (input.path.empty() || !same_file(path, input.path)) continue;
      throw Error(ErrorKind::kUsage, "{} '{}' would overwrite {}", option, path, input.option);
    }
    const bool regular = fs::is_regular_file(path, failed) || !fs::exists(path, failed);
    for (size_t k = 0; k < i; ++k) {
      if (outputs[k].path.empty() || !regular || !same_file(path, outputs[k].path)) continue;
      throw Error(ErrorKind::kUsage, "{} and {} are both '{}'", outputs[k].option, option, path);
    }
    check_writable(path);
  }
}

void refuse_overwriting(const std::vector<NamedPath>& outputs, const std::string& what,
                        const std::vector<fs::path>& files) {
  std::map<std::pair<dev_t, ino_t>, const NamedPath*> existing;
  for (const NamedPath& output : outputs) {
    if (const auto identity = file_identity(output.path)) existing.emplace(*identity, &output);
  }
  if (existing.empty()) return;
  for (const fs::path& file : files) {
    const auto identity = file_identity(file);
    const auto found = identity ? existing.find(*identity) : existing.end();
    if (found == existing.end()) continue;
    throw Error(ErrorKind::kUsage, "{} '{}' would overwrite {}", found->second->option, found->second->path, what);
  }
}

std::vector<NamedPath> named_paths(const std::string& option, const std::vector<std::string>& paths) {
  std::vector<NamedPath> named;
  for (const std::string& path : paths) named.push_back({option, path});
  return named;
}

std::string hash_files(const std::vector<std::filesystem::path>& files) {
  if (files.size() == 1) return sha256_of_file(files.front());
  std::string lines;
  for (const auto& file : files) {
    check_interruption();
    lines += fmt::format("{}  {}\n", sha256_of_file(file), file.filename().string());
  }
  return sha256(lines);
}

int64_t total_bytes(const std::vector<fs::path>& files) {
  int64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code failed;
    const auto size = fs::file_size(file, failed);
    if (!failed) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

}  // namespace narrow::apps
