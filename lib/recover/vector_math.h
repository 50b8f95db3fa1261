// The inner loops of recovery, vectorized for whatever CPU runs them: the same bits on each.
#pragma once

#include <cstdint>
#include <span>

namespace narrow::recover {

/// Sum of products, in an order that depends on the length alone.
double dot(std::span<const double> a, std::span<const double> b);
/// target += factor * source.
void add_scaled(std::span<double> target, double factor, std::span<const double> source);
/// sums[i % n] += values[i] and squares[i % n] += values[i]^2, row after row; `squares` may be empty.
void add_columns(std::span<double> sums, std::span<double> squares, std::span<const float> values);
/// least[i], most[i]: with row[i], where it is a number; squares[i] += row[i]^2.
void take_row(std::span<const float> row, std::span<float> least, std::span<float> most, std::span<double> squares);

/// Integers of 8 bits that stand for (code - zero) * scale.
struct CodeGrid {
  float scale = 1;
  float zero = 0;
  float low = 0;  // codes less the zero
  float high = 0;
};

/// As quant::quantize for one scale and zero point: half to even, NaN becomes the zero point.
void round_to_codes(std::span<const float> values, const CodeGrid& grid, std::span<uint8_t> codes);
void round_to_codes(std::span<const float> values, const CodeGrid& grid, std::span<int8_t> codes);

}  // namespace narrow::recover
