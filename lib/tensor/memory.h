// Memory of tensors.
#pragma once

#include <cstddef>
#include <new>

namespace narrow {

inline constexpr std::align_val_t kTensorAlignment{64};

/// Aligned, to be given back by operator delete with the same alignment. Throws Error(kUnsupported) saying how much is
/// wanted where there is no such memory: shapes are the user's, so this is no fault of ours.
std::byte* allocate_tensor(size_t bytes);

}  // namespace narrow
