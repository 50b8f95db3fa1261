// Arrays in NumPy's .npz form, stored without compression; the same arrays give the same bytes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/tensor/tensor.h"

namespace narrow::apps {

using NamedArrays = std::vector<std::pair<std::string, Tensor>>;

/// Why NumPy can not hold the value: it is a sequence or an empty optional, or its strings are none of NumPy's. Absent
/// where it can.
std::optional<std::string> numpy_lack(const Tensor& tensor);

/// Appears under its name only when complete. Throws Error(kData) when it can not be written, Error(kUnsupported) for
/// a value that NumPy can not hold (small floats are written as float32, 4-bit and 2-bit integers as bytes, strings as
/// arrays of code points).
void write_npz(const std::filesystem::path& path, const NamedArrays& arrays);

}  // namespace narrow::apps
