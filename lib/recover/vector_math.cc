#include "lib/recover/vector_math.h"

#include <array>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/recover/vector_math.cc"
#include <hwy/foreach_target.h>
// Highway wants its header after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::recover::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Element i of a block goes to sum i, however many of them one vector holds: so every CPU adds in the same order.
// Products are rounded before they are added, also where a fused operation exists.
constexpr size_t kSums = 32;

HWY_ATTR double dot_vectors(const double* a, const double* b, size_t count) {
  const hn::CappedTag<double, 8> d;
  constexpr size_t kLanes = hn::MaxLanes(d);
  constexpr size_t kVectors = kSums / kLanes;
  hn::Vec<decltype(d)> sums[kVectors];
  for (auto& sum : sums) sum = hn::Zero(d);
  size_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (size_t v = 0; v < kVectors; ++v) {
      const size_t at = i + v * kLanes;
      sums[v] = hn::Add(sums[v], hn::Mul(hn::LoadU(d, a + at), hn::LoadU(d, b + at)));
    }
  }
  HWY_ALIGN double parts[kSums];
  for (size_t v = 0; v < kVectors; ++v) hn::Store(sums[v], d, parts + v * kLanes);
  for (size_t k = 0; i < count; ++i, ++k) parts[k] += a[i] * b[i];
  double total = 0;
  for (const double part : parts) total += part;
  return total;
}

HWY_ATTR void add_scaled_vectors(double* target, double factor, const double* source, size_t count) {
  const hn::ScalableTag<double> d;
  const size_t lanes = hn::Lanes(d);
  const auto by = hn::Set(d, factor);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, target + i), hn::Mul(by, hn::LoadU(d, source + i))), d, target + i);
  }
  for (; i < count; ++i) target[i] += factor * source[i];
}

HWY_ATTR void take_row_vectors(const float* row, size_t count, float* least, float* most, double* squares) {
  const hn::CappedTag<float, 16> d;
  const hn::RepartitionToWide<decltype(d)> wide;
  const hn::Rebind<float, decltype(wide)> half;
  constexpr size_t kLanes = hn::MaxLanes(d);
  constexpr size_t kHalf = hn::MaxLanes(wide);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto x = hn::LoadU(d, row + i);
    const auto low = hn::LoadU(d, least + i);
    const auto high = hn::LoadU(d, most + i);
    hn::StoreU(hn::IfThenElse(hn::Lt(x, low), x, low), d, least + i);
    hn::StoreU(hn::IfThenElse(hn::Lt(high, x), x, high), d, most + i);
    for (size_t at = i; at < i + kLanes; at += kHalf) {
      const auto exact = hn::PromoteTo(wide, hn::LoadU(half, row + at));
      hn::StoreU(hn::Add(hn::LoadU(wide, squares + at), hn::Mul(exact, exact)), wide, squares + at);
    }
  }
  for (; i < count; ++i) {
    least[i] = row[i] < least[i] ? row[i] : least[i];
    most[i] = most[i] < row[i] ? row[i] : most[i];
    squares[i] += static_cast<double>(row[i]) * row[i];
  }
}

// Adding 1.5 * 2^23 rounds half to even what is below 2^22 in magnitude.
template <class Q>
HWY_INLINE void round_vectors(const float* values, size_t count, const CodeGrid& grid, Q* codes) {
  constexpr float kRounder = 12582912;
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> whole;
  const hn::Rebind<Q, decltype(d)> narrow_codes;
  constexpr size_t kLanes = hn::MaxLanes(d);
  const auto scale = hn::Set(d, grid.scale);
  const auto low = hn::Set(d, grid.low);
  const auto high = hn::Set(d, grid.high);
  const auto zero = hn::Set(d, grid.zero);
  const auto rounder = hn::Set(d, kRounder);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    auto x = hn::Div(hn::LoadU(d, values + i), scale);
    x = hn::IfThenElseZero(hn::Eq(x, x), x);
    x = hn::Min(hn::Max(x, low), high);
    x = hn::Add(hn::Sub(hn::Add(x, rounder), rounder), zero);
    hn::StoreU(hn::DemoteTo(narrow_codes, hn::ConvertTo(whole, x)), narrow_codes, codes + i);
  }
  for (; i < count; ++i) {
    float x = values[i] / grid.scale;
    x = x == x ? x : 0.0F;
    x = x < grid.low ? grid.low : x;
    x = x > grid.high ? grid.high : x;
    codes[i] = static_cast<Q>(static_cast<int32_t>((x + kRounder) - kRounder + grid.zero));
  }
}

HWY_ATTR void round_to_uint8(const float* values, size_t count, const CodeGrid& grid, uint8_t* codes) {
  round_vectors(values, count, grid, codes);
}

HWY_ATTR void round_to_int8(const float* values, size_t count, const CodeGrid& grid, int8_t* codes) {
  round_vectors(values, count, grid, codes);
}

}  // namespace narrow::recover::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::recover {

HWY_EXPORT(dot_vectors);
HWY_EXPORT(add_scaled_vectors);
HWY_EXPORT(take_row_vectors);
HWY_EXPORT(round_to_uint8);
HWY_EXPORT(round_to_int8);

double dot(std::span<const double> a, std::span<const double> b) {
  return HWY_DYNAMIC_DISPATCH(dot_vectors)(a.data(), b.data(), a.size());
}

void add_scaled(std::span<double> target, double factor, std::span<const double> source) {
  HWY_DYNAMIC_DISPATCH(add_scaled_vectors)(target.data(), factor, source.data(), target.size());
}

void take_row(std::span<const float> row, std::span<float> least, std::span<float> most, std::span<double> squares) {
  HWY_DYNAMIC_DISPATCH(take_row_vectors)(row.data(), row.size(), least.data(), most.data(), squares.data());
}

void round_to_codes(std::span<const float> values, const CodeGrid& grid, std::span<uint8_t> codes) {
  HWY_DYNAMIC_DISPATCH(round_to_uint8)(values.data(), values.size(), grid, codes.data());
}

void round_to_codes(std::span<const float> values, const CodeGrid& grid, std::span<int8_t> codes) {
  HWY_DYNAMIC_DISPATCH(round_to_int8)(values.data(), values.size(), grid, codes.data());
}

void add_columns(std::span<double> sums, std::span<double> squares, std::span<const float> values) {
  const size_t columns = sums.size();
  for (size_t row = 0; row < values.size(); row += columns) {
    const float* const from = values.data() + row;
    for (size_t i = 0; i < columns; ++i) sums[i] += static_cast<double>(from[i]);
    for (size_t i = 0; i < squares.size(); ++i) squares[i] += static_cast<double>(from[i]) * from[i];
  }
}

}  // namespace narrow::recover
#endif
