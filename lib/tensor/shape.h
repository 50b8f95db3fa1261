#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace narrow {

/// Dimensions of a tensor, outermost first; {} is a scalar. In graphs, -1 stands for an unknown dimension.
using Shape = std::vector<int64_t>;

/// Lists of axes that something is summed over, each list holding the axes of the one before it.
using SumAxes = std::vector<std::vector<int64_t>>;

/// Product of the dimensions. Throws Error(kModel) on a negative dimension or overflow of int64.
int64_t element_count(const Shape& shape);

/// Elements per step of each axis of a dense tensor of this shape, the last axis running fastest.
std::vector<int64_t> dense_strides(const Shape& shape);

/// "[1,3,224,224]"; unknown dimensions are "?".
std::string shape_text(const Shape& shape);

/// The axis counted from the front; throws Error(kModel) if it is outside [-rank, rank).
int64_t normalize_axis(int64_t axis, size_t rank);

}  // namespace narrow
