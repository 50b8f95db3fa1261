// Arrays in NumPy's .npz form, stored without compression; the same arrays give the same bytes.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lib/tensor/tensor.h"

namespace narrow::apps {

using NamedArrays = std::vector<std::pair<std::string, Tensor>>;

/// Appears under its name only when complete. Throws Error(kData) when it can not be written, Error(kUnsupported) for
/// an element type that NumPy has not (small floats are written as float32, 4-bit and 2-bit integers as bytes).
void write_npz(const std::filesystem::path& path, const NamedArrays& arrays);

}  // namespace narrow::apps
