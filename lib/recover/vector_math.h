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

}  // namespace narrow::recover
