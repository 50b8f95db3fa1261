// What shape arithmetic (Shape, Gather, Concat, ...) makes of the number of samples, without running it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/graph/onnx_proto.h"

namespace narrow::exec {

/// One element of an integer vector or scalar that describes shapes.
struct Size {
  enum class Kind { kSamples, kNumber, kFixed };  // the number of samples itself; known; unknown, but the same for all
  Kind kind = Kind::kFixed;
  int64_t number = 0;  // of kNumber

  static Size samples() { return {.kind = Kind::kSamples}; }
  static Size of(int64_t value) { return {.kind = Kind::kNumber, .number = value}; }
  bool is(int64_t value) const { return kind == Kind::kNumber && number == value; }
};
using Sizes = std::vector<Size>;

/// The sizes that a value holds; absent if they are not known as such.
using SizesOf = std::function<std::optional<Sizes>(const std::string& value)>;

/// The first output of a node whose inputs are sizes (any but Shape); absent where it can not be told.
std::optional<Sizes> compute_sizes(const onnx::NodeProto& node, const SizesOf& sizes_of);

}  // namespace narrow::exec
