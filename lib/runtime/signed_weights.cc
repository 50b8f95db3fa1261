#include "lib/runtime/signed_weights.h"

#include <algorithm>
#include <limits>

namespace narrow::runtime {
namespace {

// Calls visit(index, channel) for every element.
template <class Visit>
void for_each_weight(const Shape& shape, std::optional<int64_t> axis, Visit visit) {
  const int64_t count = element_count(shape);
  int64_t inner = 1;
  int64_t channels = 1;
  if (axis) {
    channels = shape[static_cast<size_t>(*axis)];
    for (auto i = static_cast<size_t>(*axis) + 1; i < shape.size(); ++i) inner *= shape[i];
  }
  for (int64_t i = 0; i < count; ++i)
    visit(static_cast<size_t>(i), static_cast<size_t>(axis ? i / inner % channels : 0));
}

}  // namespace

SignedWeights sign_weights(const Tensor& weights, std::vector<int32_t> zero_points, std::optional<int64_t> axis) {
  SignedWeights result{Tensor(DataType::kInt8, weights.shape()), std::move(zero_points)};
  const auto target = result.integers.mutable_data<int8_t>();
  const bool is_unsigned = weights.type() == DataType::kUint8;
  for (size_t i = 0; i < target.size(); ++i) {
    target[i] = static_cast<int8_t>(is_unsigned ? weights.data<uint8_t>()[i] - 128 : weights.data<int8_t>()[i]);
  }
  if (is_unsigned) {
    for (int32_t& zero_point : result.zero_points) zero_point -= 128;
  }
  bool fits = true;
  const auto difference = [&](size_t i, size_t channel) { return target[i] - result.zero_points[channel]; };
  for_each_weight(weights.shape(), axis, [&](size_t i, size_t channel) {
    fits = fits && difference(i, channel) >= std::numeric_limits<int8_t>::min() &&
           difference(i, channel) <= std::numeric_limits<int8_t>::max();
  });
  if (!fits) return result;
  for_each_weight(weights.shape(), axis,
                  [&](size_t i, size_t channel) { target[i] = static_cast<int8_t>(difference(i, channel)); });
  std::fill(result.zero_points.begin(), result.zero_points.end(), 0);
  return result;
}

}  // namespace narrow::runtime
