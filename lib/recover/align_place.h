// Where inputs can be aligned; align.h says what that is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lib/graph/graph_index.h"
#include "lib/plan/recovery.h"

namespace narrow::recover {

inline constexpr double kLastLevel = 255;
/// Of a step: what does not need a constant of its own.
inline constexpr double kNegligible = 0.02;

/// A value that a convolution alone reads, and where its channels are in the model input that it is.
struct Place {
  const onnx::NodeProto* convolution = nullptr;
  std::string input;
  size_t channel_axis = 1;  // of the input
  int64_t channels = 0;
};

/// nullopt where others read the value too, or it is no model input, transposed or not.
std::optional<Place> place_of(const graph::GraphIndex& index, const std::string& value);

/// Padding with zeros would put the border where no value is.
bool needs_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input);

/// Zeros of the padding are rounded like every value, so they must be in the range.
bool can_pad(const onnx::NodeProto& convolution, const plan::AlignedInput& input);

/// What the convolution reads of the value once it is aligned.
std::string aligned_name(const std::string& value);

}  // namespace narrow::recover
