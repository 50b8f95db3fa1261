#include "lib/onednn/depthwise8.h"

#include <algorithm>
#include <cmath>

#include "lib/base/parallel.h"
#include "lib/onednn/isa.h"
#include "lib/onednn/padded_rows.h"

#include <hwy/base.h>

#if HWY_ARCH_X86
#include <immintrin.h>
#endif

namespace narrow::onednn {
namespace {

// Output rows [begin, end) of one image from a padded copy of the input rows that they see.
struct DepthwiseRows {
  const uint8_t* padded = nullptr;
  int64_t padded_width = 0;  // pixels
  uint8_t* result = nullptr;
  int64_t width = 0;  // of the result
  int64_t count = 0;
};

constexpr int64_t kBlock = 16;  // channels of one register
constexpr auto kBlockSize = static_cast<size_t>(kBlock);

}  // namespace
}  // namespace narrow::onednn

#if HWY_ARCH_X86
// Highway 1.0 has no target with VNNI, so these functions are compiled for it by name.
HWY_PUSH_ATTRIBUTES("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vbmi,avx512vnni")
namespace narrow::onednn {
namespace {

// Sixteen channels of one pixel in each of four rows, as [channel][row].
HWY_INLINE __m512i load_taps(const uint8_t* const (&rows)[4], int64_t at, __m512i order) {
  const auto pixel = [&](int64_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at)); };
  __m512i all = _mm512_castsi128_si512(pixel(0));
  all = _mm512_inserti32x4(all, pixel(1), 1);
  all = _mm512_inserti32x4(all, pixel(2), 2);
  all = _mm512_inserti32x4(all, pixel(3), 3);
  return _mm512_permutexvar_epi8(order, all);
}

// Where the four rows of a group of taps begin; those behind the kernel's last have weights of zero.
HWY_INLINE void find_rows(const Depthwise8::Packed& packed, const uint8_t* from, int64_t row_step, int64_t group,
                          const uint8_t* (&rows)[4]) {
  for (int64_t i = 0; i < 4; ++i) rows[i] = from + std::min(4 * group + i, packed.spec.kernel[0] - 1) * row_step;
}

struct Block {
  const int8_t* weights;
  __m512i compensation;
  __m512 bias;
  __m512 multipliers;
  __mmask16 stored;
};

HWY_INLINE void store_block(const Depthwise8::Packed& packed, const Block& block, __m512i sums, uint8_t* to) {
  const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(sums, block.compensation));
  __m512 steps = _mm512_mul_ps(_mm512_add_ps(sum, block.bias), block.multipliers);
  steps = _mm512_min_ps(_mm512_max_ps(steps, _mm512_set1_ps(packed.low)), _mm512_set1_ps(packed.high));
  const __m512i result = _mm512_add_epi32(_mm512_cvtps_epi32(steps), _mm512_set1_epi32(packed.zero_point));
  const __m128i bytes = packed.spec.signed_destination
                            ? _mm512_cvtsepi32_epi8(result)
                            : _mm512_cvtusepi32_epi8(_mm512_max_epi32(result, _mm512_setzero_si512()));
  if (block.stored == 0xFFFF) {  // masked stores are slow on some CPUs
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
  } else {
    _mm_mask_storeu_epi8(to, block.stored, bytes);
  }
}

HWY_INLINE __m512i load_weights(const int8_t* weights, int64_t index) {
  return _mm512_loadu_si512(weights + index * 64);
}

// kCount neighbouring positions of a row, kernel and stride known: taps are read once for all positions they meet.
template <int kWidth, int kStride, int kCount>
HWY_INLINE void compute_positions(const Depthwise8::Packed& packed, const Block& block, const uint8_t* from,
                                  int64_t row_step, uint8_t* to, __m512i order) {
  const int64_t channels = packed.spec.channels;
  __m512i sums[kCount];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (int64_t group = 0; group < packed.tap_groups; ++group) {
    const int8_t* weights = block.weights + group * kWidth * 64;
    const uint8_t* rows[4];
    find_rows(packed, from, row_step, group, rows);
#pragma GCC unroll 32
    for (int column = 0; column < (kCount - 1) * kStride + kWidth; ++column) {
      const __m512i taps = load_taps(rows, column * channels, order);
#pragma GCC unroll 32
      for (int i = 0; i < kCount; ++i) {
        const int tap = column - i * kStride;
        if (tap >= 0 && tap < kWidth) sums[i] = _mm512_dpbusd_epi32(sums[i], taps, load_weights(weights, tap));
      }
    }
  }
  for (int i = 0; i < kCount; ++i) store_block(packed, block, sums[i], to + i * channels);
}

template <int kWidth, int kStride>
HWY_INLINE void compute_row(const Depthwise8::Packed& packed, const Block& block, const uint8_t* from,
                            const DepthwiseRows& rows, uint8_t* to, __m512i order) {
  const int64_t channels = packed.spec.channels;
  const int64_t row_step = rows.padded_width * channels;
  int64_t x = 0;
  const auto advance = [&]<int kCount>() {
    compute_positions<kWidth, kStride, kCount>(packed, block, from + x * kStride * channels, row_step,
                                               to + x * channels, order);
    x += kCount;
  };
  while (x + 8 <= rows.width) advance.template operator()<8>();
  switch (rows.width - x) {
    case 7:
      return advance.template operator()<7>();
    case 6:
      return advance.template operator()<6>();
    case 5:
      return advance.template operator()<5>();
    case 4:
      return advance.template operator()<4>();
    case 3:
      return advance.template operator()<3>();
    case 2:
      return advance.template operator()<2>();
    case 1:
      return advance.template operator()<1>();
    default:
      return;
  }
}

// Any kernel.
HWY_INLINE void compute_any_row(const Depthwise8::Packed& packed, const Block& block, const uint8_t* from,
                                const DepthwiseRows& rows, uint8_t* to, __m512i order) {
  const int64_t channels = packed.spec.channels;
  const int64_t row_step = rows.padded_width * channels;
  const int64_t width = packed.spec.kernel[1];
  for (int64_t x = 0; x < rows.width; ++x) {
    __m512i sums = _mm512_setzero_si512();
    const uint8_t* corner = from + x * packed.spec.strides[1] * channels;
    for (int64_t group = 0; group < packed.tap_groups; ++group) {
      const uint8_t* taps_at[4];
      find_rows(packed, corner, row_step, group, taps_at);
      for (int64_t tap = 0; tap < width; ++tap) {
        const __m512i taps = load_taps(taps_at, tap * channels, order);
        sums = _mm512_dpbusd_epi32(sums, taps, load_weights(block.weights, group * width + tap));
      }
    }
    store_block(packed, block, sums, to + x * channels);
  }
}

using RowFunction = void (*)(const Depthwise8::Packed&, const Block&, const uint8_t*, const DepthwiseRows&, uint8_t*,
                             __m512i);

RowFunction row_function(const Depthwise8Spec& spec) {
  const int64_t stride = spec.strides[1];
  if (spec.kernel[1] == 3 && stride == 1) return compute_row<3, 1>;
  if (spec.kernel[1] == 3 && stride == 2) return compute_row<3, 2>;
  if (spec.kernel[1] == 5 && stride == 1) return compute_row<5, 1>;
  if (spec.kernel[1] == 5 && stride == 2) return compute_row<5, 2>;
  return compute_any_row;
}

void depthwise_rows(const Depthwise8::Packed& packed, const DepthwiseRows& rows) {
  alignas(64) uint8_t interleave[64];
  for (size_t i = 0; i < sizeof(interleave); ++i) interleave[i] = static_cast<uint8_t>(i % 4 * 16 + i / 4);
  const __m512i order = _mm512_load_si512(interleave);
  const int64_t channels = packed.spec.channels;
  const int64_t taps = packed.spec.kernel[1] * packed.tap_groups;
  const RowFunction compute = row_function(packed.spec);
  for (int64_t row = 0; row < rows.count; ++row) {
    const uint8_t* from = rows.padded + row * packed.spec.strides[0] * rows.padded_width * channels;
    for (int64_t c = 0; c < channels; c += kBlock) {
      const int64_t b = c / kBlock;
      const int64_t left = std::min(kBlock, channels - c);
      const Block block{.weights = packed.weights.data() + b * taps * 64,
                        .compensation = _mm512_loadu_si512(packed.compensation.data() + c),
                        .bias = _mm512_loadu_ps(packed.bias.data() + c),
                        .multipliers = _mm512_loadu_ps(packed.multipliers.data() + c),
                        .stored = static_cast<__mmask16>((1U << left) - 1U)};
      compute(packed, block, from + c, rows, rows.result + row * rows.width * channels + c, order);
    }
  }
}

}  // namespace
}  // namespace narrow::onednn
HWY_POP_ATTRIBUTES
#endif

namespace narrow::onednn {
namespace {

void compute_rows(const Depthwise8::Packed& packed, const DepthwiseRows& rows) {
#if HWY_ARCH_X86
  depthwise_rows(packed, rows);
#else
  ensure(false, "only x86 has this kernel");
#endif
}

constexpr size_t kTaps = 4;  // that one instruction sums

// Rows of the result that are computed from one padded copy: it stays in the first caches.
constexpr int64_t kRowsAtOnce = 4;

std::vector<int8_t> pack(const Depthwise8Spec& spec, const int8_t* weights, size_t groups) {
  const auto channels = static_cast<size_t>(spec.channels);
  const auto height = static_cast<size_t>(spec.kernel[0]);
  const auto width = static_cast<size_t>(spec.kernel[1]);
  const size_t blocks = (channels + kBlockSize - 1) / kBlockSize;
  std::vector<int8_t> packed(blocks * groups * width * kBlockSize * kTaps, 0);
  for (size_t c = 0; c < channels; ++c) {
    for (size_t y = 0; y < height; ++y) {
      for (size_t x = 0; x < width; ++x) {
        const size_t place = (c / kBlockSize * groups + y / kTaps) * width + x;
        packed[(place * kBlockSize + c % kBlockSize) * kTaps + y % kTaps] = weights[(c * height + y) * width + x];
      }
    }
  }
  return packed;
}

}  // namespace

bool Depthwise8::available() {
  return has_avx512_vnni();
}

Depthwise8::Depthwise8(const Depthwise8Spec& spec, const int8_t* weights, const OutputTransform& transform) {
  packed_.spec = spec;
  const auto channels = static_cast<size_t>(spec.channels);
  const auto taps = static_cast<size_t>(spec.kernel[0] * spec.kernel[1]);
  const auto groups = (static_cast<size_t>(spec.kernel[0]) + kTaps - 1) / kTaps;
  packed_.tap_groups = static_cast<int64_t>(groups);
  packed_.weights = pack(spec, weights, groups);
  const size_t padded = (channels + kBlockSize - 1) / kBlockSize * kBlockSize;
  const int32_t flip = spec.signed_source ? 128 : 0;
  packed_.compensation.assign(padded, 0);
  packed_.bias.assign(padded, 0);
  packed_.multipliers.assign(padded, 0);
  for (size_t c = 0; c < channels; ++c) {
    int32_t sum = 0;
    for (size_t i = 0; i < taps; ++i) sum += weights[c * taps + i];
    packed_.compensation[c] = -sum * (transform.source_zero_point + flip);
    if (!transform.bias.empty()) packed_.bias[c] = transform.bias[c];
    packed_.multipliers[c] = transform.multipliers[transform.multipliers.size() == 1 ? 0 : c];
  }
  // Beyond a thousand steps everything saturates, whatever the zero point.
  constexpr float kFar = 1024;
  packed_.low = std::max(transform.clamp.low, -kFar);
  packed_.high = std::min(transform.clamp.high, kFar);
  packed_.zero_point = transform.destination_zero_point;
  packed_.padding = static_cast<uint8_t>(transform.source_zero_point + flip);
}

void Depthwise8::run(const uint8_t* source, const Shape& source_shape, uint8_t* result,
                     const Shape& result_shape) const {
  const Depthwise8Spec& spec = packed_.spec;
  const int64_t rows = result_shape[2];
  const int64_t width = result_shape[3];
  const int64_t padded_width = (width - 1) * spec.strides[1] + spec.kernel[1];
  const int64_t chunks = (rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const int64_t input_rows = (kRowsAtOnce - 1) * spec.strides[0] + spec.kernel[0];
  const size_t bytes = static_cast<size_t>(input_rows * padded_width * spec.channels) + 4 * kBlockSize;
  const PaddedRows copy{.pixel_bytes = spec.channels,
                        .height = source_shape[2],
                        .width = source_shape[3],
                        .left = spec.pads_begin[1],
                        .padded_width = padded_width,
                        .padding = std::byte{packed_.padding},
                        .flip_signs = spec.signed_source};
  // Some ten microseconds of work for each thread.
  const int64_t work = kRowsAtOnce * width * spec.channels * spec.kernel[1] * packed_.tap_groups;
  const int64_t grain = std::max<int64_t>(1, 60000 / std::max<int64_t>(1, work));
  parallel_for(result_shape[0] * chunks, grain, [&](int64_t begin, int64_t end) {
    thread_local std::vector<uint8_t> padded;
    if (padded.size() < bytes) padded.resize(bytes);
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t n = chunk / chunks;
      const int64_t first = chunk % chunks * kRowsAtOnce;
      const int64_t count = std::min(kRowsAtOnce, rows - first);
      copy.copy(reinterpret_cast<const std::byte*>(source) + n * source_shape[2] * source_shape[3] * spec.channels,
                first * spec.strides[0] - spec.pads_begin[0], (count - 1) * spec.strides[0] + spec.kernel[0],
                reinterpret_cast<std::byte*>(padded.data()));
      const DepthwiseRows part{.padded = padded.data(),
                               .padded_width = padded_width,
                               .result = result + (n * rows + first) * width * spec.channels,
                               .width = width,
                               .count = count};
      compute_rows(packed_, part);
    }
  });
}

}  // namespace narrow::onednn
