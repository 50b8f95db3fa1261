// Short copies inline.
#pragma once

#include <cstddef>
#include <cstring>

namespace narrow::exec {

/// memcpy, for lengths that are mostly small multiples of a cache line: pixels of a channels-last tensor.
inline void copy_bytes(const void* from, void* to, size_t count) {
  constexpr size_t kLine = 64;
  constexpr size_t kShort = 1024;
  if (count % kLine != 0 || count > kShort) {
    std::memcpy(to, from, count);
    return;
  }
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  for (size_t i = 0; i < count; i += kLine) std::memcpy(target + i, source + i, kLine);
}

}  // namespace narrow::exec
