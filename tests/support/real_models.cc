#include "tests/support/real_models.h"

#include <algorithm>
#include <cstdlib>

namespace narrow::test {
namespace fs = std::filesystem;

std::optional<fs::path> real_data() {
  const char* named = std::getenv("NARROW_DATA");
  const fs::path path = named != nullptr ? fs::path(named) : fs::path("../shared/data");
  if (fs::is_directory(path / "models")) return path;
  return std::nullopt;
}

std::vector<fs::path> real_models() {
  std::vector<fs::path> models;
  const auto data = real_data();
  if (!data) return models;
  for (const auto& entry : fs::directory_iterator(*data / "models")) {
    if (entry.path().extension() == ".onnx") models.push_back(entry.path());
  }
  std::sort(models.begin(), models.end());
  return models;
}

}  // namespace narrow::test
