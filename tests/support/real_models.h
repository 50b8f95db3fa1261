// The real models and data that lie beside the project, where they do.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace narrow::test {

/// Folder of real models and data: NARROW_DATA, or ../shared/data if that exists; nullopt otherwise.
std::optional<std::filesystem::path> real_data();

/// Its .onnx files, sorted.
std::vector<std::filesystem::path> real_models();

}  // namespace narrow::test
