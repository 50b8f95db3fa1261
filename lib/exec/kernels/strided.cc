#include "lib/exec/kernels/strided.h"

#include <cstring>

namespace narrow::exec {
namespace {

// Axes of extent 1 are dropped, and axes that are walked as one are merged.
void simplify(Shape& extents, std::vector<int64_t>& strides) {
  Shape merged_extents;
  std::vector<int64_t> merged_strides;
  for (size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] == 1) continue;
    if (!merged_extents.empty() && merged_strides.back() == strides[axis] * extents[axis]) {
      merged_extents.back() *= extents[axis];
      merged_strides.back() = strides[axis];
    } else {
      merged_extents.push_back(extents[axis]);
      merged_strides.push_back(strides[axis]);
    }
  }
  if (merged_extents.empty()) {
    merged_extents.push_back(1);
    merged_strides.push_back(1);
  }
  extents = std::move(merged_extents);
  strides = std::move(merged_strides);
}

// Calls row(dense_offset, strided_offset) for each innermost run.
template <class Row>
void walk(const Shape& extents, const std::vector<int64_t>& strides, Row row) {
  const size_t outer = extents.size() - 1;
  const int64_t width = extents.back();
  if (width == 0) return;
  const int64_t rows = product(std::span(extents).first(outer));
  parallel_for(rows, std::max<int64_t>(1, kElementGrain / width), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> position(outer);
    int64_t offset = 0;
    int64_t rest = begin;
    for (size_t axis = outer; axis-- > 0;) {
      position[axis] = rest % extents[axis];
      rest /= extents[axis];
      offset += position[axis] * strides[axis];
    }
    for (int64_t r = begin; r < end; ++r) {
      row(r * width, offset);
      for (size_t axis = outer; axis-- > 0;) {
        offset += strides[axis];
        if (++position[axis] < extents[axis]) break;
        position[axis] = 0;
        offset -= extents[axis] * strides[axis];
      }
    }
  });
}

}  // namespace

std::vector<int64_t> dense_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t step = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

void copy_strided(DataType type, const std::byte* from, const std::vector<int64_t>& strides, std::byte* to,
                  const Shape& extents) {
  Shape loops = extents;
  std::vector<int64_t> steps = strides;
  simplify(loops, steps);
  const int64_t width = loops.back();
  const int64_t step = steps.back();
  dispatch_width(type, [&]<class U>() {
    const U* source = reinterpret_cast<const U*>(from);
    U* target = reinterpret_cast<U*>(to);
    walk(loops, steps, [&](int64_t dense, int64_t strided) {
      if (step == 1) {
        std::memcpy(target + dense, source + strided, static_cast<size_t>(width) * sizeof(U));
      } else {
        for (int64_t i = 0; i < width; ++i) target[dense + i] = source[strided + i * step];
      }
    });
  });
}

void scatter_strided(DataType type, const std::byte* from, const Shape& extents, std::byte* to,
                     const std::vector<int64_t>& strides) {
  Shape loops = extents;
  std::vector<int64_t> steps = strides;
  simplify(loops, steps);
  const int64_t width = loops.back();
  const int64_t step = steps.back();
  dispatch_width(type, [&]<class U>() {
    const U* source = reinterpret_cast<const U*>(from);
    U* target = reinterpret_cast<U*>(to);
    walk(loops, steps, [&](int64_t dense, int64_t strided) {
      if (step == 1) {
        std::memcpy(target + strided, source + dense, static_cast<size_t>(width) * sizeof(U));
      } else {
        for (int64_t i = 0; i < width; ++i) target[strided + i * step] = source[dense + i];
      }
    });
  });
}

}  // namespace narrow::exec
