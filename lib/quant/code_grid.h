// The codes that elements have as numbers, and those beside them: what rounding may choose from.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <vector>

#include "lib/quant/quant_params.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/small_float.h"

namespace narrow::quant {

/// Elements that lie next to each other, no more than kLongestPiece; so do their scales, or one serves all (step 0).
struct Piece {
  const float* weights = nullptr;
  const float* scales = nullptr;
  const float* zeros = nullptr;  // zero points
  size_t step = 0;
  size_t count = 0;
};

inline constexpr size_t kLongestPiece = 1024;

/// An integer next to x, half to even, for |x| up to 2^22: adding and taking away 1.5 * 2^23 leaves no room for a
/// fraction. The compiler makes vectors of it, which it can not of a call.
inline float round_small(float x) {
  constexpr float kMagic = 12582912.0F;
  return (x + kMagic) - kMagic;
}

/// condition ? yes : no without a branch: which it is, is a matter of chance.
inline float chosen(bool condition, float yes, float no) {
  return std::bit_cast<float>(select(condition, std::bit_cast<uint32_t>(yes), std::bit_cast<uint32_t>(no)));
}

/// Integer between `lowest` and `highest` for x in steps; NaN is 0.
inline float nearest_integer(float x, float lowest, float highest) {
  x = x == x ? x : 0;
  x = x < lowest ? lowest : x;
  return round_small(x > highest ? highest : x);
}

/// Integers of up to 16 bits.
template <class Integer>
class IntegerGrid {
 public:
  using Code = Integer;

  /// No code outside [lowest, highest], which count from the zero point, is beside another.
  IntegerGrid(QuantType type, float lowest, float highest)
      : qmin_(static_cast<float>(row(type).qmin)),
        qmax_(static_cast<float>(row(type).qmax)),
        lowest_(lowest),
        highest_(highest) {}

  /// taken: the values of the codes; other: those of the codes on the other side of the weights, or the same as taken
  /// where there is none. With `changed` also where a code is not the nearest one.
  void look(const Piece& piece, const Code* codes, bool changed, float* taken, float* other) const {
    piece.step == 0 ? look<0>(piece, codes, taken, other) : look<1>(piece, codes, taken, other);
    if (changed) piece.step == 0 ? close<0>(piece, codes, taken, other) : close<1>(piece, codes, taken, other);
  }

  static Code beside(Code code, bool above) { return static_cast<Code>(above ? code + 1 : code - 1); }

 private:
  template <size_t kStep>
  void look(const Piece& piece, const Code* codes, float* taken, float* other) const {
    for (size_t i = 0; i < piece.count; ++i) {
      const float scale = piece.scales[i * kStep];
      const float zero = piece.zeros[i * kStep];
      const float number = static_cast<float>(codes[i]) - zero;
      const float value = number * scale;
      const float next = number + static_cast<float>(2 * static_cast<int>(piece.weights[i] > value) - 1);
      // Neither outside what the tensor uses nor, with this zero point, outside the type.
      const bool used = (next >= lowest_) & (next <= highest_);
      const bool open = (piece.weights[i] != value) & used & (next >= qmin_ - zero) & (next <= qmax_ - zero);
      taken[i] = value;
      other[i] = chosen(open, next * scale, value);
    }
  }

  template <size_t kStep>
  void close(const Piece& piece, const Code* codes, const float* taken, float* other) const {
    for (size_t i = 0; i < piece.count; ++i) {
      const float zero = piece.zeros[i * kStep];
      const float near = nearest_integer(piece.weights[i] / piece.scales[i * kStep], qmin_ - zero, qmax_ - zero);
      other[i] = chosen(near == static_cast<float>(codes[i]) - zero, other[i], taken[i]);
    }
  }

  float qmin_;
  float qmax_;
  float lowest_;
  float highest_;
};

/// Floating-point types of up to 16 bits: what is beside a code is found in a table of all.
template <class Unsigned>
class FloatGrid {
 public:
  using Code = Unsigned;

  explicit FloatGrid(DataType type);

  void look(const Piece& piece, const Code* codes, bool changed, float* taken, float* other) const;

  Code beside(Code code, bool above) const { return above ? rows_[code].above : rows_[code].below; }

 private:
  struct Row {
    float number = 0;
    Code below = 0;  // itself for the first
    Code above = 0;
  };

  DataType type_;
  std::vector<Row> rows_;
};

template <class Unsigned>
FloatGrid<Unsigned>::FloatGrid(DataType type) : type_(type) {
  const size_t count = size_t{1} << static_cast<unsigned>(data_type_bits(type));
  std::vector<Code> codes(count);
  for (size_t i = 0; i < count; ++i) codes[i] = static_cast<Code>(i);
  std::vector<float> numbers(count);
  decode_floats(type, reinterpret_cast<const std::byte*>(codes.data()), numbers);
  rows_.resize(count);
  for (size_t i = 0; i < count; ++i) rows_[i] = {numbers[i], codes[i], codes[i]};
  const std::vector<float> finite = finite_numbers(type);
  std::vector<Code> in_order(finite.size());
  encode_floats(type, finite, reinterpret_cast<std::byte*>(in_order.data()));
  for (size_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(std::lower_bound(finite.begin(), finite.end(), numbers[i]) - finite.begin());
    if (at == finite.size() || finite[at] != numbers[i]) continue;  // NaN, infinity
    if (at > 0) rows_[i].below = in_order[at - 1];
    if (at + 1 < finite.size()) rows_[i].above = in_order[at + 1];
  }
}

template <class Unsigned>
void FloatGrid<Unsigned>::look(const Piece& piece, const Code* codes, bool changed, float* taken, float* other) const {
  float steps[kLongestPiece];
  Code nearest[kLongestPiece];
  if (changed) {
    for (size_t i = 0; i < piece.count; ++i) steps[i] = piece.weights[i] / piece.scales[i * piece.step];
    encode_floats(type_, {steps, piece.count}, reinterpret_cast<std::byte*>(nearest));
  }
  for (size_t i = 0; i < piece.count; ++i) {
    const float scale = piece.scales[i * piece.step];
    taken[i] = rows_[codes[i]].number * scale;
    const bool closed = piece.weights[i] == taken[i] || (changed && nearest[i] != codes[i]);
    other[i] = closed ? taken[i] : rows_[beside(codes[i], piece.weights[i] > taken[i])].number * scale;
  }
}

}  // namespace narrow::quant
