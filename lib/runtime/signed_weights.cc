#include "lib/runtime/signed_weights.h"

#include <algorithm>
#include <type_traits>

#include "lib/base/error.h"

namespace narrow::runtime {
namespace {

constexpr int32_t kUnsignedShift = 128;

// Elements as [rows, channels, inner]; one channel without an axis.
struct Extents {
  int64_t rows = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

Extents extents_of(const Shape& shape, std::optional<int64_t> axis) {
  if (!axis) return {.inner = element_count(shape)};
  const auto at = shape.begin() + *axis;
  return {.rows = element_count(Shape(shape.begin(), at)),
          .channels = *at,
          .inner = element_count(Shape(at + 1, shape.end()))};
}

// Calls visit(index, channel) for every element. Loops over neighbouring elements, so that compilers make vectors of
// it.
template <class Visit>
void for_each_weight(const Extents& extents, Visit visit) {
  const auto channels = static_cast<size_t>(extents.channels);
  const auto inner = static_cast<size_t>(extents.inner);
  const auto rows = static_cast<size_t>(extents.rows);
  for (size_t row = 0; row < rows; ++row) {
    if (inner == 1) {
      for (size_t c = 0; c < channels; ++c) visit(row * channels + c, c);
      continue;
    }
    for (size_t c = 0; c < channels; ++c) {
      const size_t first = (row * channels + c) * inner;
      for (size_t i = first; i < first + inner; ++i) visit(i, c);
    }
  }
}

// codes - zero points, or codes - kUnsignedShift where those do not fit.
template <class Code>
SignedWeights move_to_int8(const Tensor& weights, std::vector<int32_t> zero_points, const Extents& extents) {
  SignedWeights result{Tensor(DataType::kInt8, weights.shape()), std::move(zero_points)};
  const Code* codes = weights.data<Code>().data();
  int8_t* target = result.integers.mutable_data<int8_t>().data();
  int32_t* zeros = result.zero_points.data();
  int32_t beyond = 0;
  for_each_weight(extents, [&](size_t i, size_t channel) {
    const int32_t difference = codes[i] - zeros[channel];
    target[i] = static_cast<int8_t>(difference);
    beyond |= difference ^ target[i];
  });
  const bool fits = beyond == 0;
  constexpr int32_t kShift = std::is_unsigned_v<Code> ? kUnsignedShift : 0;
  if (!fits) for_each_weight(extents, [&](size_t i, size_t) { target[i] = static_cast<int8_t>(codes[i] - kShift); });
  for (int32_t& zero_point : result.zero_points) zero_point = fits ? 0 : zero_point - kShift;
  return result;
}

}  // namespace

SignedWeights sign_weights(const Tensor& weights, std::vector<int32_t> zero_points, std::optional<int64_t> axis) {
  if (axis) axis = normalize_axis(*axis, weights.rank());
  const int64_t channels = axis ? weights.shape()[static_cast<size_t>(*axis)] : 1;
  if (zero_points.size() != 1 && static_cast<int64_t>(zero_points.size()) != channels) {
    throw Error(ErrorKind::kModel, "{} zero points for {} channels of weights {}", zero_points.size(), channels,
                shape_text(weights.shape()));
  }
  const bool is_unsigned = weights.type() == DataType::kUint8;
  const bool centered = std::all_of(zero_points.begin(), zero_points.end(), [](int32_t zero) { return zero == 0; });
  if (!is_unsigned && centered) return {weights, std::move(zero_points)};
  const Extents extents = extents_of(weights.shape(), zero_points.size() == 1 ? std::nullopt : axis);
  return is_unsigned ? move_to_int8<uint8_t>(weights, std::move(zero_points), extents)
                     : move_to_int8<int8_t>(weights, std::move(zero_points), extents);
}

}  // namespace narrow::runtime
