// Loops over registers that must be registers from the compiler's first pass on; for vector code for AVX-512 VNNI,
// which Highway 1.0 has no target for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include <hwy/base.h>

#if HWY_ARCH_X86
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vnni")
namespace narrow::onednn {

/// For lambdas that run on registers.
#define NARROW_INLINE_LAMBDA __attribute__((always_inline))

/// Calls f(0) ... f(kCount - 1) with constants.
template <int kCount, class Function>
HWY_INLINE void unrolled(Function f) {
  [&]<int... kIndex>(std::integer_sequence<int, kIndex...>) NARROW_INLINE_LAMBDA {
    (f(std::integral_constant<int, kIndex>()), ...);
  }
  (std::make_integer_sequence<int, kCount>());
}

// Addresses of kRows positions at equal distances: a register for each three of them, as a CPU adds once or twice the
// distance by itself.
template <int kRows>
class RowAddresses {
 public:
  HWY_INLINE RowAddresses(const std::byte* first, int64_t step) : step_(step) {
    unrolled<kBases>([&](auto i) NARROW_INLINE_LAMBDA { bases_[i] = first + 3 * i * step; });
  }
  template <int kRow>
  HWY_INLINE const std::byte* row() const {
    return bases_[kRow / 3] + kRow % 3 * step_;
  }
  HWY_INLINE void advance(int64_t bytes) {
    unrolled<kBases>([&](auto i) NARROW_INLINE_LAMBDA {
      bases_[i] += bytes;
      asm("" : "+r"(bases_[i]));  // or GCC computes them from one another
    });
  }

 private:
  static constexpr int kBases = (kRows + 2) / 3;
  const std::byte* bases_[kBases];
  int64_t step_;
};

}  // namespace narrow::onednn
HWY_POP_ATTRIBUTES
#endif
