// What a transposition is made of: neighbouring blocks of axes that change places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lib/tensor/shape.h"

namespace narrow::graph {

/// Matrices [outer][rows][columns] of pieces of `inner` elements become [outer][columns][rows].
struct AxisSwap {
  uint64_t outer = 1;
  uint64_t rows = 1;
  uint64_t columns = 1;
  uint64_t inner = 1;
};

/// ONNX's Transpose of a tensor of that shape as swaps, one after the other; as few as moving blocks one by one takes.
std::vector<AxisSwap> swaps_of(const Shape& shape, std::span<const int64_t> permutation);

/// Of one swap, and back. Nullopt for what is none, or not of `elements` elements.
std::string swap_text(const AxisSwap& swap);
std::optional<AxisSwap> swap_from_text(std::string_view text, uint64_t elements);

/// Takes what stands at `offset` of the result.
using WriteBytes = std::function<void(size_t offset, std::span<const std::byte> bytes)>;

/// Swaps elements of `width` bytes by small tiles, each of which goes to `write`; `tile_done` may let what was read of
/// the source leave memory.
void swap_axes(const std::byte* source, const AxisSwap& swap, size_t width, const WriteBytes& write,
               const std::function<void()>& tile_done);

}  // namespace narrow::graph
