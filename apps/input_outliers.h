// Single samples in the data that are orders of magnitude beyond all others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calib/data_reader.h"

namespace narrow::apps {

/// A line for each input that is float32, names the samples (at most one of 20; by index, from 0) with a value a
/// thousand times as far from 0 as any of the others: a mistake in the data, or a sample that decides the range alone.
std::vector<std::string> outlier_warnings(const calib::DataReader& data, const std::vector<int64_t>& samples,
                                          int workers);

}  // namespace narrow::apps
