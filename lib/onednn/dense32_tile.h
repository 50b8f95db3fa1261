// The inner loops of Dense32: a tile of positions times columns whose sums stay in registers. For dense32.cc only.
#pragma once

#include <algorithm>
#include <array>

#include "lib/onednn/dense32.h"
#include "lib/onednn/unrolled.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

namespace narrow::onednn {

struct Dense32Tile {
  const float* weights = nullptr;  // of the block
  int64_t column = 0;              // its first
  int64_t left = 0;                // columns from there on
  const std::byte* source = nullptr;
  int64_t step = 0;
  int64_t run_step = 0;
  std::byte* result = nullptr;  // of the first position and column; so is the residual
  int64_t result_step = 0;
  const std::byte* residual = nullptr;
};

}  // namespace narrow::onednn

// The same instruction sets as unrolled.h: functions of others are not inlined into each other.
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vnni")
namespace narrow::onednn {

// Registers of 16 columns, and of 8, of which twice as many are computed at a time.
struct WholeRegister {
  using Vec = __m512;
  using Mask = __mmask16;
  static constexpr int kLanes = 16;
  static HWY_INLINE Vec set(float x) { return _mm512_set1_ps(x); }
  static HWY_INLINE Vec load(const float* from) { return _mm512_loadu_ps(from); }
  static HWY_INLINE Vec load(Mask mask, const void* from) { return _mm512_maskz_loadu_ps(mask, from); }
  static HWY_INLINE void store(Mask mask, void* to, Vec x) { _mm512_mask_storeu_ps(to, mask, x); }
  static HWY_INLINE Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
  static HWY_INLINE Vec multiply(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
  static HWY_INLINE Vec multiply_add(Vec a, Vec b, Vec sum) { return _mm512_fmadd_ps(a, b, sum); }
  // Masked, because GCC 12 takes what the plain ones leave undefined for uninitialized.
  // NaN, as the second operand, stays.
  static HWY_INLINE Vec clamp(Vec x, Vec low, Vec high) {
    constexpr Mask kAll = 0xFFFF;
    return _mm512_maskz_min_ps(kAll, high, _mm512_maskz_max_ps(kAll, low, x));
  }
  static HWY_INLINE Vec if_negative(Vec x, Vec yes) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), yes);
  }
  static HWY_INLINE void fix(Vec& x) { asm("" : "+v"(x)); }
};

struct HalfRegister {
  using Vec = __m256;
  using Mask = __mmask8;
  static constexpr int kLanes = 8;
  static HWY_INLINE Vec set(float x) { return _mm256_set1_ps(x); }
  static HWY_INLINE Vec load(const float* from) { return _mm256_loadu_ps(from); }
  static HWY_INLINE Vec load(Mask mask, const void* from) { return _mm256_maskz_loadu_ps(mask, from); }
  static HWY_INLINE void store(Mask mask, void* to, Vec x) { _mm256_mask_storeu_ps(to, mask, x); }
  static HWY_INLINE Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static HWY_INLINE Vec multiply(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static HWY_INLINE Vec multiply_add(Vec a, Vec b, Vec sum) { return _mm256_fmadd_ps(a, b, sum); }
  static HWY_INLINE Vec clamp(Vec x, Vec low, Vec high) { return _mm256_min_ps(high, _mm256_max_ps(low, x)); }
  static HWY_INLINE Vec if_negative(Vec x, Vec yes) {
    return _mm256_mask_mov_ps(x, _mm256_cmp_ps_mask(x, _mm256_setzero_ps(), _CMP_LT_OQ), yes);
  }
  static HWY_INLINE void fix(Vec& x) { asm("" : "+v"(x)); }
};

// kRows positions times kWidth registers of columns.
template <class R, int kRows, int kWidth>
HWY_INLINE void sum_products(const Dense32::Packed& packed, const Dense32Tile& tile,
                             typename R::Vec (&sums)[kRows * kWidth]) {
  unrolled<kRows * kWidth>([&](auto i) NARROW_INLINE_LAMBDA { sums[i] = R::set(0); });
  const float* weights = tile.weights;
  const std::byte* run = tile.source;
  int64_t runs = packed.spec.runs;
  do {
    RowAddresses<kRows> source(run, tile.step);
    const auto add_terms = [&](auto count) NARROW_INLINE_LAMBDA {
      unrolled<count>([&](auto t) NARROW_INLINE_LAMBDA {
        typename R::Vec columns[kWidth];
        unrolled<kWidth>([&](auto v)
                             NARROW_INLINE_LAMBDA { columns[v] = R::load(weights + R::kLanes * (t * kWidth + v)); });
        unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA {
          const typename R::Vec x = R::set(reinterpret_cast<const float*>(source.template row<r>())[t]);
          unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
            sums[r * kWidth + v] = R::multiply_add(x, columns[v], sums[r * kWidth + v]);
          });
        });
      });
      weights += R::kLanes * kWidth * count;
      source.advance(int64_t{sizeof(float)} * count);
    };
    int64_t terms = packed.spec.terms;
    for (; terms >= 4; terms -= 4) add_terms(std::integral_constant<int, 4>());
    for (; terms > 0; --terms) add_terms(std::integral_constant<int, 1>());
    run += tile.run_step;
  } while (--runs != 0);
  // What comes after the loops must not decide about registers in them: GCC 12 would spill some of the sums.
  unrolled<kRows * kWidth>([&](auto i) NARROW_INLINE_LAMBDA { R::fix(sums[i]); });
}

template <class R>
HWY_INLINE typename R::Vec activated(typename R::Vec x, const Activation& activation) {
  const typename R::Vec alpha = R::set(activation.alpha);
  const typename R::Vec beta = R::set(activation.beta);
  switch (activation.kind) {
    case Activation::Kind::kLinear:
      return R::add(R::multiply(x, alpha), beta);
    case Activation::Kind::kClamp:
      return R::clamp(x, alpha, beta);
    case Activation::Kind::kLeakyRelu:
      return R::if_negative(x, R::multiply(x, alpha));
    case Activation::Kind::kHardSigmoid:
      return R::clamp(R::add(R::multiply(x, alpha), beta), R::set(0), R::set(1));
    default:  // kHardSwish
      return R::multiply(x, R::clamp(R::add(R::multiply(x, alpha), beta), R::set(0), R::set(1)));
  }
}

template <class R, int kRows, int kWidth>
void compute_tile(const Dense32::Packed& packed, const Dense32Tile& tile) {
  typename R::Vec sums[kRows * kWidth];
  sum_products<R, kRows, kWidth>(packed, tile, sums);
  const typename R::Vec low = R::set(packed.spec.clamp.low);
  const typename R::Vec high = R::set(packed.spec.clamp.high);
  unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
    const typename R::Vec bias = R::load(packed.bias.data() + tile.column + R::kLanes * v);
    const int64_t left = tile.left - R::kLanes * v;
    const auto mask = static_cast<typename R::Mask>(left >= R::kLanes ? ~0U : (1U << left) - 1U);
    unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA {
      const int64_t at = r * tile.result_step + int64_t{sizeof(float)} * R::kLanes * v;
      typename R::Vec x = R::add(sums[r * kWidth + v], bias);
      if (tile.residual != nullptr) x = R::add(x, R::load(mask, tile.residual + at));
      x = R::clamp(x, low, high);
      for (const Activation& activation : packed.spec.activations) x = activated<R>(x, activation);
      R::store(mask, tile.result + at, x);
    });
  });
}

}  // namespace narrow::onednn
HWY_POP_ATTRIBUTES
#endif
