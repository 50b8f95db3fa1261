#pragma once

#include <cstdint>
#include <vector>

#include "lib/exec/kernel.h"

namespace narrow::runtime {

/// x [N, M * phases, spatial...] -> y [N, M, spatial * strides...]: y[n, m, s q + r] = x[n, m * phases + r, q], phases
/// counted with the last axis innermost. Elements of 8 or 32 bits.
exec::KernelPtr make_phase_kernel(std::vector<int64_t> strides);

}  // namespace narrow::runtime
