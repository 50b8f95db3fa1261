// Pages of mapped files, by their address.
#pragma once

#include <cstddef>

namespace narrow {

/// Lets the pages that lie within `size` bytes from `begin` on leave memory if they are a MappedFile's; others stay.
/// They come back when they are read again, so this may be called while others read: by who has packed a weight that
/// somebody may still hold.
void release_pages(const std::byte* begin, size_t size);

}  // namespace narrow
