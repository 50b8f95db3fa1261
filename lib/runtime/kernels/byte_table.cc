#include "lib/runtime/kernels/byte_table.h"

#include <bit>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/runtime/kernels/byte_table.cc"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::runtime::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3_DL
// The table is in four registers; a permutation takes two of them, chosen by 7 bits of the index.
HWY_INLINE __m512i look_up(const __m512i* table, __m512i index) {
  const __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
  const __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
  return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

void look_up_impl(const Table& table, const uint8_t* q, uint8_t* y, size_t count) {
  constexpr size_t kWidth = 64;
  const __m512i parts[4] = {_mm512_loadu_si512(table.data()), _mm512_loadu_si512(table.data() + kWidth),
                            _mm512_loadu_si512(table.data() + 2 * kWidth),
                            _mm512_loadu_si512(table.data() + 3 * kWidth)};
  size_t i = 0;
  for (; i + kWidth <= count; i += kWidth) _mm512_storeu_si512(y + i, look_up(parts, _mm512_loadu_si512(q + i)));
  for (; i < count; ++i) y[i] = table[q[i]];
}

// Four bytes for each of 64 elements are looked up apart and put together again. The order of the indices is such that
// interleaving within registers' quarters ends in the elements' order.
void look_up_floats_impl(const float* values, const Table* bytes, const uint8_t* q, float* y, size_t count) {
  constexpr size_t kWidth = 64;
  alignas(64) uint8_t places[kWidth];
  for (size_t i = 0; i < kWidth; ++i) places[i] = static_cast<uint8_t>(i % 16 / 4 * 16 + i / 16 * 4 + i % 4);
  const __m512i order = _mm512_load_si512(places);
  __m512i tables[4][4];
  for (size_t b = 0; b < 4; ++b) {
    for (size_t part = 0; part < 4; ++part) tables[b][part] = _mm512_loadu_si512(bytes[b].data() + part * kWidth);
  }
  size_t i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    const __m512i index = _mm512_permutexvar_epi8(order, _mm512_loadu_si512(q + i));
    const __m512i b0 = look_up(tables[0], index);
    const __m512i b1 = look_up(tables[1], index);
    const __m512i b2 = look_up(tables[2], index);
    const __m512i b3 = look_up(tables[3], index);
    const __m512i low01 = _mm512_unpacklo_epi8(b0, b1);
    const __m512i high01 = _mm512_unpackhi_epi8(b0, b1);
    const __m512i low23 = _mm512_unpacklo_epi8(b2, b3);
    const __m512i high23 = _mm512_unpackhi_epi8(b2, b3);
    _mm512_storeu_si512(y + i, _mm512_unpacklo_epi16(low01, low23));
    _mm512_storeu_si512(y + i + 16, _mm512_unpackhi_epi16(low01, low23));
    _mm512_storeu_si512(y + i + 32, _mm512_unpacklo_epi16(high01, high23));
    _mm512_storeu_si512(y + i + 48, _mm512_unpackhi_epi16(high01, high23));
  }
  for (; i < count; ++i) y[i] = values[q[i]];
}
#else
void look_up_floats_impl(const float* values, const Table* /*bytes*/, const uint8_t* q, float* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = values[q[i]];
}

void look_up_impl(const Table& table, const uint8_t* q, uint8_t* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = table[q[i]];
}
#endif

}  // namespace narrow::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::runtime {

HWY_EXPORT(look_up_impl);
HWY_EXPORT(look_up_floats_impl);

void look_up_elements(const Table& table, const Byte* q, Byte* y, size_t count) {
  HWY_DYNAMIC_DISPATCH(look_up_impl)(table, q, y, count);
}

FloatTable::FloatTable(std::span<const float> values) {
  for (size_t i = 0; i < values_.size(); ++i) {
    values_[i] = values[i];
    const auto bits = std::bit_cast<uint32_t>(values[i]);
    for (size_t b = 0; b < bytes_.size(); ++b) bytes_[b][i] = static_cast<Byte>(bits >> (8 * b));
  }
}

void FloatTable::look_up(const Byte* q, float* y, size_t count) const {
  HWY_DYNAMIC_DISPATCH(look_up_floats_impl)(values_.data(), bytes_.data(), q, y, count);
}

}  // namespace narrow::runtime
#endif  // HWY_ONCE
