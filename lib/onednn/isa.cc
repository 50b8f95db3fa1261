#include "lib/onednn/isa.h"

#include <fmt/ranges.h>
#include <oneapi/dnnl/dnnl.h>

#include <array>
#include <string_view>

#include "lib/base/error.h"

#include <hwy/base.h>

namespace narrow::onednn {
namespace {

struct Isa {
  std::string_view name;
  dnnl_cpu_isa_t value;
  bool has_vnni;  // multiplies u8 x s8 quadruples into int32 without saturating in between
};

// Weakest first.
constexpr std::array kIsas{
    Isa{"sse41", dnnl_cpu_isa_sse41, false},
    Isa{"avx", dnnl_cpu_isa_avx, false},
    Isa{"avx2", dnnl_cpu_isa_avx2, false},
    Isa{"avx2_vnni", dnnl_cpu_isa_avx2_vnni, true},
    Isa{"avx2_vnni_2", dnnl_cpu_isa_avx2_vnni_2, true},
    Isa{"avx512_core", dnnl_cpu_isa_avx512_core, false},
    Isa{"avx512_core_vnni", dnnl_cpu_isa_avx512_core_vnni, true},
    Isa{"avx512_core_bf16", dnnl_cpu_isa_avx512_core_bf16, true},
    Isa{"avx512_core_fp16", dnnl_cpu_isa_avx512_core_fp16, true},
    Isa{"avx512_core_amx", dnnl_cpu_isa_avx512_core_amx, true},
    Isa{"avx512_core_amx_fp16", dnnl_cpu_isa_avx512_core_amx_fp16, true},
};

// Null below sse41, where only reference kernels run.
const Isa* find_effective() {
  const dnnl_cpu_isa_t effective = dnnl_get_effective_cpu_isa();
  for (const Isa& isa : kIsas) {
    if (isa.value == effective) return &isa;
  }
  return nullptr;
}

}  // namespace

std::string effective_isa() {
  const Isa* isa = find_effective();
  return std::string(isa == nullptr ? "generic" : isa->name);
}

std::vector<std::string> weaker_isas() {
  std::vector<std::string> names;
  const dnnl_cpu_isa_t best = dnnl_get_effective_cpu_isa();
  // Each value has the bits of the sets it includes.
  for (const Isa& isa : kIsas) {
    if (isa.value != best && (isa.value & best) == isa.value) names.emplace_back(isa.name);
  }
  return names;
}

void set_max_isa(const std::string& name) {
  for (const Isa& isa : kIsas) {
    if (isa.name != name) continue;
    if (dnnl_set_max_cpu_isa(isa.value) != dnnl_success) {
      throw Error(ErrorKind::kUsage, "instruction set '{}' was set too late: oneDNN is in use already", name);
    }
    return;
  }
  std::vector<std::string_view> known;
  for (const Isa& isa : kIsas) known.push_back(isa.name);
  throw Error(ErrorKind::kUsage, "unknown instruction set '{}'; known are {}", name, fmt::join(known, ", "));
}

std::string version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

bool saturates_pairs() {
  const Isa* isa = find_effective();
  return isa != nullptr && !isa->has_vnni;
}

bool has_avx512_vnni() {
#if HWY_ARCH_X86
  static const bool result = !saturates_pairs() && effective_isa().starts_with("avx512") &&
                             __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512vbmi") != 0 &&
                             __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  return result;
#else
  return false;
#endif
}

}  // namespace narrow::onednn
