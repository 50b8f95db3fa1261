// Files that onnxruntime's quantization tools write and read, as data.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/json.h"
#include "lib/quant/quant_params.h"

namespace narrow::apps {

/// Names of nodes: a JSON array of strings, or text with one a line (empty lines and lines from # on are passed over).
/// Throws Error(kUsage), Error(kData).
std::vector<std::string> read_node_list(const std::string& path);

/// Ranges by tensor: what write_calibration_table writes as calibration.json, or the calibration cache of
/// quantize_static.
struct TensorRanges {
  std::map<std::string, quant::Range> ranges;
  std::string method;  // "MinMax", "Entropy", ...; "" where the file does not say
};
TensorRanges read_tensor_ranges(const Json& json);

/// What TensorQuantOverrides say of one tensor.
struct TensorOverride {
  std::optional<std::string> type;  // our name: "uint16"
  std::optional<bool> symmetric;
  std::optional<bool> reduce_range;
  std::optional<int64_t> axis;  // per channel
  std::optional<double> rmin;
  std::optional<double> rmax;
  std::optional<double> scale;
  std::optional<int64_t> zero_point;
};

/// By tensor. Throws JsonError for what has no equivalent: "convert", ranges and scales by channel.
std::map<std::string, TensorOverride> read_tensor_overrides(const Json& json);

}  // namespace narrow::apps
