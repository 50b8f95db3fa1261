// Feeds that are read again and again, read once.
#pragma once

#include <cstdint>
#include <memory>

#include "calib/data_reader.h"

namespace narrow::calib {

/// The same feeds; those that come first are kept, up to so many bytes together: decoding images is slow.
std::unique_ptr<DataReader> keep_feeds(std::unique_ptr<DataReader> reader, int64_t most_bytes);

}  // namespace narrow::calib
