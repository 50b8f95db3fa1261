#include "apps/paths.h"

#include <filesystem>

#include "lib/base/error.h"
#include "lib/base/file.h"

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

/// An existing regular file directly inside an input folder belongs to that input.
bool belongs_to(const std::string& output, const std::string& input) {
  std::error_code failed;
  if (!fs::is_directory(input, failed)) return same_file(output, input);
  return fs::is_regular_file(output, failed) && fs::equivalent(fs::absolute(output).parent_path(), input, failed);
}

}  // namespace

void check_outputs(const std::vector<NamedPath>& inputs, const std::vector<NamedPath>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const auto& [option, path] = outputs[i];
    std::error_code failed;
    if (path.empty()) continue;
    for (const NamedPath& input : inputs) {
      if (input.path.empty() || !belongs_to(path, input.path)) continue;
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

std::vector<NamedPath> named_paths(const std::string& option, const std::vector<std::string>& paths) {
  std::vector<NamedPath> named;
  for (const std::string& path : paths) named.push_back({option, path});
  return named;
}

}  // namespace narrow::apps
