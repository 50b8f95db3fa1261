// Image files as samples of the one input of a model.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "calib/data_reader.h"
#include "calib/input_adapter.h"

namespace narrow::calib {

/// Files are decoded when a feed is read. Throws Error(kData) if their number is no multiple of the input's batch.
std::unique_ptr<DataReader> read_images(std::vector<std::filesystem::path> files, InputAdapter input);

}  // namespace narrow::calib
