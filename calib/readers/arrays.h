// Arrays in files as feeds.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "calib/data_reader.h"
#include "calib/input_adapter.h"

namespace narrow::calib {

/// Files that together hold one array for each input: one .npz, the input_N.pb of one folder, or a single .npy.
struct ArrayGroup {
  std::filesystem::path name;  // what messages call it
  std::vector<std::filesystem::path> files;
};

/// The groups' feeds one after the other. Only headers are read now; each group's arrays when one of its feeds is, and
/// the latest few groups stay in memory. Throws Error(kData) if a group lacks an input, has an unknown one or one
/// twice, or if its arrays do not fit the inputs or each other.
std::unique_ptr<DataReader> read_arrays(std::vector<ArrayGroup> groups, std::vector<InputAdapter> inputs);

/// Names of inputs that stand in or on the file: a .npz's arrays, a .pb's own, the file's without its extension.
std::vector<std::string> names_of_arrays(const std::filesystem::path& path);

/// True for the extensions that hold arrays: .npy, .npz, .pb, .bin.
bool is_array_file(const std::filesystem::path& path);

}  // namespace narrow::calib
