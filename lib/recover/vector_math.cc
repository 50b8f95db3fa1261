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

}  // namespace narrow::recover::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::recover {

HWY_EXPORT(dot_vectors);
HWY_EXPORT(add_scaled_vectors);

double dot(std::span<const double> a, std::span<const double> b) {
  return HWY_DYNAMIC_DISPATCH(dot_vectors)(a.data(), b.data(), a.size());
}

void add_scaled(std::span<double> target, double factor, std::span<const double> source) {
  HWY_DYNAMIC_DISPATCH(add_scaled_vectors)(target.data(), factor, source.data(), target.size());
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
