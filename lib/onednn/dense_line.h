// A row of positions for the kernels that sum windows: Dense8 and Dense32.
#pragma once

#include <cstddef>
#include <cstdint>

namespace narrow::onednn {

/// Positions that are equally far apart in the source, and in the result. All steps are in bytes.
struct DenseLine {
  const std::byte* source = nullptr;
  int64_t step = 0;             // from one position to the next
  int64_t run_step = 0;         // from one run of neighbouring terms to the next
  std::byte* result = nullptr;  // of the first position, column 0
  int64_t result_step = 0;
  int64_t count = 0;                    // positions
  const std::byte* residual = nullptr;  // is added, where a kernel does that; laid out as the result
};

}  // namespace narrow::onednn
