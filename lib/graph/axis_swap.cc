#include "lib/graph/axis_swap.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <numeric>

#include "lib/base/error.h"

namespace narrow::graph {
namespace {

// Rows of the source that a tile takes: enough for long pieces of the result's rows, and not so many that their pages,
// which the system brings by the sixteen, are much memory.
constexpr uint64_t kTileRows = 512;
constexpr uint64_t kTileBytes = uint64_t{4} << 20;

uint64_t product(const Shape& shape, std::span<const int64_t> axes) {
  return std::accumulate(axes.begin(), axes.end(), uint64_t{1}, [&](uint64_t count, int64_t axis) {
    return count * static_cast<uint64_t>(shape[static_cast<size_t>(axis)]);
  });
}

struct Tile {
  const std::byte* source;
  uint64_t row_bytes;  // from one row of the source to the next
  uint64_t rows;
  uint64_t columns;
};

/// [rows][columns] -> [columns][rows] of things of `bytes` bytes.
template <class T>
void turn(const Tile& tile, std::byte* to) {
  auto* target = reinterpret_cast<T*>(to);
  for (uint64_t c = 0; c < tile.columns; ++c) {
    for (uint64_t r = 0; r < tile.rows; ++r) {
      target[c * tile.rows + r] = reinterpret_cast<const T*>(tile.source + r * tile.row_bytes)[c];
    }
  }
}

void turn(const Tile& tile, uint64_t bytes, std::byte* to) {
  const bool aligned = reinterpret_cast<uintptr_t>(tile.source) % bytes == 0;
  if (bytes == sizeof(uint32_t) && aligned) return turn<uint32_t>(tile, to);
  if (bytes == sizeof(uint16_t) && aligned) return turn<uint16_t>(tile, to);
  if (bytes == sizeof(uint8_t)) return turn<uint8_t>(tile, to);
  for (uint64_t c = 0; c < tile.columns; ++c) {
    for (uint64_t r = 0; r < tile.rows; ++r) {
      std::memcpy(to + (c * tile.rows + r) * bytes, tile.source + r * tile.row_bytes + c * bytes, bytes);
    }
  }
}

}  // namespace

// Axis by axis of the result, the block of axes that comes next moves in front of those that still stand before it.
std::vector<AxisSwap> swaps_of(const Shape& shape, std::span<const int64_t> permutation) {
  std::vector<int64_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<AxisSwap> swaps;
  for (size_t i = 0; i < order.size(); ++i) {
    const auto found = static_cast<size_t>(std::find(order.begin(), order.end(), permutation[i]) - order.begin());
    ensure(found < order.size() && found >= i, "a permutation of the axes");
    if (found == i) continue;
    size_t end = found + 1;
    while (end < order.size() && order[end] == permutation[i + end - found]) ++end;
    const std::span<const int64_t> axes(order);
    const AxisSwap swap{.outer = product(shape, axes.first(i)),
                        .rows = product(shape, axes.subspan(i, found - i)),
                        .columns = product(shape, axes.subspan(found, end - found)),
                        .inner = product(shape, axes.subspan(end))};
    if (swap.rows > 1 && swap.columns > 1) swaps.push_back(swap);
    const auto at = [&](size_t index) { return order.begin() + static_cast<std::ptrdiff_t>(index); };
    std::rotate(at(i), at(found), at(end));
  }
  return swaps;
}

std::string swap_text(const AxisSwap& swap) {
  return fmt::format("{},{},{},{}", swap.outer, swap.rows, swap.columns, swap.inner);
}

std::optional<AxisSwap> swap_from_text(std::string_view text, uint64_t elements) {
  std::array<uint64_t, 4> sizes{};
  uint64_t count = 1;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0 && (at == end || *at++ != ',')) return std::nullopt;
    const auto [next, failure] = std::from_chars(at, end, sizes.at(i));
    if (failure != std::errc() || sizes.at(i) == 0 || sizes.at(i) > elements / count) return std::nullopt;
    count *= sizes.at(i);
    at = next;
  }
  if (at != end || count != elements) return std::nullopt;
  return AxisSwap{.outer = sizes[0], .rows = sizes[1], .columns = sizes[2], .inner = sizes[3]};
}

void swap_axes(const std::byte* source, const AxisSwap& swap, size_t width, const WriteBytes& write,
               const std::function<void()>& tile_done) {
  const uint64_t bytes = swap.inner * width;
  const uint64_t most_rows = std::clamp<uint64_t>(kTileBytes / bytes, 1, kTileRows);
  const uint64_t most_columns = std::clamp<uint64_t>(kTileBytes / (most_rows * bytes), 1, swap.columns);
  std::vector<std::byte> turned(std::min(most_rows, swap.rows) * most_columns * bytes);
  for (uint64_t outer = 0; outer < swap.outer; ++outer) {
    const uint64_t matrix = outer * swap.rows * swap.columns;
    for (uint64_t row = 0; row < swap.rows; row += most_rows) {
      const uint64_t rows = std::min(most_rows, swap.rows - row);
      for (uint64_t column = 0; column < swap.columns; column += most_columns) {
        const uint64_t columns = std::min(most_columns, swap.columns - column);
        turn({.source = source + (matrix + row * swap.columns + column) * bytes,
              .row_bytes = swap.columns * bytes,
              .rows = rows,
              .columns = columns},
             bytes, turned.data());
        for (uint64_t c = 0; c < columns; ++c) {
          write((matrix + (column + c) * swap.rows + row) * bytes,
                std::span(turned).subspan(c * rows * bytes, rows * bytes));
        }
        tile_done();
      }
    }
  }
}

}  // namespace narrow::graph
