// Instruction sets that oneDNN's kernels use.
#pragma once

#include <string>
#include <vector>

namespace narrow::onednn {

/// Instruction set that oneDNN may use in this process, such as "avx512_core_vnni"; "generic" below sse41. Asking fixes
/// it.
std::string effective_isa();

/// Those that this CPU has below effective_isa(), weakest first.
std::vector<std::string> weaker_isas();

/// Caps it; must come before any other use of oneDNN. Throws Error(kUsage) for an unknown name or a late call.
void set_max_isa(const std::string& name);

/// "3.2.0".
std::string version();

/// True if u8 x s8 products saturate in int16 pairs under the effective instruction set (no VNNI).
bool saturates_pairs();

/// True if vector code of ours for AVX-512, or for its VNNI, runs here: the CPU has the instructions, and oneDNN may
/// use them too.
bool has_avx512();
bool has_avx512_vnni();

}  // namespace narrow::onednn
