#pragma once

#include <string>

namespace narrow::runtime {

/// The instruction set that integer kernels run with in this process, such as "avx512_core_vnni".
std::string instruction_set();

/// True if u8 x s8 products saturate in int16 pairs with it (no VNNI).
bool saturates_pairs();

}  // namespace narrow::runtime
