// What we say in memory, beside ONNX's own keys, of tensors that lie in files.
#pragma once

#include <string_view>

namespace narrow::graph {

/// What our keys begin with.
inline constexpr std::string_view kOwnKeys = "narrow_";
/// The type of the elements as they lie in the file, where the tensor has another.
inline constexpr std::string_view kStoredTypeKey = "narrow_stored_type";
/// A swap of axes between the file and the tensor (axis_swap.h); several are done in their order.
inline constexpr std::string_view kSwapKey = "narrow_swap";

}  // namespace narrow::graph
