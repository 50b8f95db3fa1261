// The inner loops of Dense8: a tile of positions times columns whose sums stay in registers. For dense8.cc only.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "lib/onednn/dense8.h"
#include "lib/onednn/unrolled.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>

namespace narrow::onednn {

struct Dense8Tile {
  const int8_t* weights = nullptr;  // of the block
  int64_t column = 0;               // its first
  int64_t left = 0;                 // columns from there on
  const std::byte* source = nullptr;
  int64_t step = 0;
  int64_t run_step = 0;
  std::byte* result = nullptr;  // of the first position and column
  int64_t result_step = 0;
};

}  // namespace narrow::onednn

// Highway 1.0 has no target with VNNI, so these functions are compiled for it by name.
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vnni")
namespace narrow::onednn {

// As assembly because GCC 12 keeps a second copy of each sum on the stack when it is given the intrinsic.
HWY_INLINE void add_products(__m512i& sum, __m512i bytes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(weights));
}

// kRows positions times kWidth registers of 16 columns.
template <int kRows, int kWidth>
HWY_INLINE void sum_products(const Dense8::Packed& packed, const Dense8Tile& tile, __m512i (&sums)[kRows * kWidth]) {
  unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
    const __m512i start = _mm512_loadu_si512(packed.start.data() + tile.column + 16 * v);
    unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA { sums[r * kWidth + v] = start; });
  });
  const int8_t* weights = tile.weights;
  const std::byte* run = tile.source;
  int64_t runs = packed.spec.runs;
  do {
    RowAddresses<kRows> source(run, tile.step);
    const auto add_quads = [&](auto count) NARROW_INLINE_LAMBDA {
      unrolled<count>([&](auto q) NARROW_INLINE_LAMBDA {
        __m512i columns[kWidth];
        unrolled<kWidth>(
            [&](auto v) NARROW_INLINE_LAMBDA { columns[v] = _mm512_loadu_si512(weights + 64 * (q * kWidth + v)); });
        unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA {
          int32_t quad = 0;
          std::memcpy(&quad, source.template row<r>() + 4 * q, sizeof(quad));
          const __m512i bytes = _mm512_set1_epi32(quad);
          unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA { add_products(sums[r * kWidth + v], bytes, columns[v]); });
        });
      });
      weights += 64 * kWidth * count;
      source.advance(4 * count);
    };
    int64_t quads = packed.quads;
    for (; quads >= 4; quads -= 4) add_quads(std::integral_constant<int, 4>());
    for (; quads > 0; --quads) add_quads(std::integral_constant<int, 1>());
    run += tile.run_step;
  } while (--runs != 0);
  // What comes after the loops must not decide about registers in them: GCC 12 would spill half of the sums.
  unrolled<kRows * kWidth>([&](auto i) NARROW_INLINE_LAMBDA { asm("" : "+v"(sums[i])); });
}

// (sum + bias) * multiplier, clamped.
template <int kRows, int kWidth>
HWY_INLINE void scale_sums(const Dense8::Packed& packed, const Dense8Tile& tile, const __m512i (&sums)[kRows * kWidth],
                           __m512 (&steps)[kRows * kWidth]) {
  unrolled<kRows * kWidth>([&](auto i) NARROW_INLINE_LAMBDA { steps[i] = _mm512_cvtepi32_ps(sums[i]); });
  if (!packed.bias.empty()) {
    unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
      const __m512 bias = _mm512_loadu_ps(packed.bias.data() + tile.column + 16 * v);
      unrolled<kRows>([&](auto r)
                          NARROW_INLINE_LAMBDA { steps[r * kWidth + v] = _mm512_add_ps(steps[r * kWidth + v], bias); });
    });
  }
  unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
    const __m512 factor = _mm512_loadu_ps(packed.multipliers.data() + tile.column + 16 * v);
    unrolled<kRows>([&](auto r)
                        NARROW_INLINE_LAMBDA { steps[r * kWidth + v] = _mm512_mul_ps(steps[r * kWidth + v], factor); });
  });
  if (!packed.clamps) return;
  const __m512 low = _mm512_set1_ps(packed.low);
  const __m512 high = _mm512_set1_ps(packed.high);
  unrolled<kRows * kWidth>([&](auto i)
                               NARROW_INLINE_LAMBDA { steps[i] = _mm512_min_ps(_mm512_max_ps(steps[i], low), high); });
}

// The first `count` bytes of a register; whole ones are the rule, and masked stores are slow on some CPUs.
HWY_INLINE void store_bytes(std::byte* to, __m128i bytes, int64_t count) {
  if (count >= 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  } else if (count == 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
  } else {
    _mm_mask_storeu_epi8(to, static_cast<__mmask16>((1U << count) - 1U), bytes);
  }
}

HWY_INLINE void store_bytes(std::byte* to, __m256i bytes, int64_t count) {
  if (count >= 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
  } else {
    _mm256_mask_storeu_epi8(to, static_cast<__mmask32>((1U << count) - 1U), bytes);
  }
}

HWY_INLINE void store_bytes(std::byte* to, __m512i bytes, int64_t count) {
  if (count >= 64) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, (uint64_t{1} << count) - 1U, bytes);
  }
}

// Four registers of a row, or two of each of two rows, or one of each of four become one of bytes; three registers of a
// row become three quarters of one.
template <int kRows, int kWidth>
HWY_INLINE void store_quantized(const Dense8::Packed& packed, const Dense8Tile& tile,
                                const __m512 (&steps)[kRows * kWidth]) {
  // Signed results are computed 128 higher, as unsigned ones.
  const bool is_signed = packed.spec.destination == DataType::kInt8;
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(packed.zero_point + (is_signed ? 128 : 0)));
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(is_signed ? 0x80 : 0));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  constexpr int kGroup = kWidth == 3 ? 3 : 4;
  constexpr int kRowsOfGroup = kGroup / kWidth;
  constexpr int kLast = kRows * kWidth - 1;
  unrolled<(kRows + kRowsOfGroup - 1) / kRowsOfGroup>([&](auto g) NARROW_INLINE_LAMBDA {
    constexpr int kFirst = g * kGroup;
    const auto words = [&](int a, int b) NARROW_INLINE_LAMBDA {
      const __m512i both = _mm512_packs_epi32(_mm512_cvtps_epi32(steps[a]), _mm512_cvtps_epi32(steps[b]));
      return _mm512_adds_epi16(both, zero_point);
    };
    const __m512i mixed = _mm512_packus_epi16(words(kFirst, std::min(kFirst + 1, kLast)),
                                              words(std::min(kFirst + 2, kLast), std::min(kFirst + 3, kLast)));
    const __m512i bytes = _mm512_permutexvar_epi32(order, _mm512_xor_si512(mixed, flip));
    std::byte* to = tile.result + kRowsOfGroup * g * tile.result_step;
    if constexpr (kWidth >= 3) {
      store_bytes(to, bytes, kWidth == 3 ? std::min<int64_t>(tile.left, 48) : tile.left);
    } else if constexpr (kWidth == 2) {
      store_bytes(to, _mm512_castsi512_si256(bytes), tile.left);
      if constexpr (2 * g + 1 < kRows)
        store_bytes(to + tile.result_step, _mm512_extracti64x4_epi64(bytes, 1), tile.left);
    } else {
      unrolled<4>([&](auto r) NARROW_INLINE_LAMBDA {
        if constexpr (4 * g + r < kRows) {
          store_bytes(to + r * tile.result_step, _mm512_extracti32x4_epi32(bytes, r), tile.left);
        }
      });
    }
  });
}

template <int kRows, int kWidth>
HWY_INLINE void store_words(const Dense8Tile& tile, const __m512i (&words)[kRows * kWidth]) {
  unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
    const int64_t left = tile.left - 16 * v;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1U);
    unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA {
      _mm512_mask_storeu_epi32(tile.result + r * tile.result_step + 64 * v, mask, words[r * kWidth + v]);
    });
  });
}

// sum * multiplier + bias, clamped.
template <int kRows, int kWidth>
HWY_INLINE void store_real(const Dense8::Packed& packed, const Dense8Tile& tile, __m512i (&sums)[kRows * kWidth]) {
  const __m512 low = _mm512_set1_ps(packed.low);
  const __m512 high = _mm512_set1_ps(packed.high);
  unrolled<kWidth>([&](auto v) NARROW_INLINE_LAMBDA {
    const __m512 factor = _mm512_loadu_ps(packed.multipliers.data() + tile.column + 16 * v);
    const __m512 bias =
        packed.bias.empty() ? _mm512_setzero_ps() : _mm512_loadu_ps(packed.bias.data() + tile.column + 16 * v);
    unrolled<kRows>([&](auto r) NARROW_INLINE_LAMBDA {
      __m512i& sum = sums[r * kWidth + v];
      const __m512 real = _mm512_add_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), factor), bias);
      sum = _mm512_castps_si512(_mm512_min_ps(high, _mm512_max_ps(low, real)));  // NaN stays
    });
  });
  store_words<kRows, kWidth>(tile, sums);
}

template <int kRows, int kWidth>
void compute_tile(const Dense8::Packed& packed, const Dense8Tile& tile) {
  __m512i sums[kRows * kWidth];
  sum_products<kRows, kWidth>(packed, tile, sums);
  if (packed.spec.destination == DataType::kInt32) return store_words<kRows, kWidth>(tile, sums);
  if (packed.spec.destination == DataType::kFloat32) return store_real<kRows, kWidth>(packed, tile, sums);
  __m512 steps[kRows * kWidth];
  scale_sums<kRows, kWidth>(packed, tile, sums, steps);
  store_quantized<kRows, kWidth>(packed, tile, steps);
}

}  // namespace narrow::onednn
HWY_POP_ATTRIBUTES
#endif
