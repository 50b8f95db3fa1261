#include "lib/exec/kernels/strided.h"

#include <cstring>
#include <memory>
#include <type_traits>

#include "lib/exec/layout.h"

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

// `count` runs of `bytes` from places `from_step` apart to places `to_step` apart. Short runs are most, and of these
// the length must be known to the compiler.
template <size_t kBytes>
void copy_runs_of(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count) {
  for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, kBytes);
}

void copy_runs(const std::byte* from, int64_t from_step, std::byte* to, int64_t to_step, int64_t count, size_t bytes) {
  switch (bytes) {
    case 8:
      return copy_runs_of<8>(from, from_step, to, to_step, count);
    case 16:
      return copy_runs_of<16>(from, from_step, to, to_step, count);
    case 32:
      return copy_runs_of<32>(from, from_step, to, to_step, count);
    case 64:
      return copy_runs_of<64>(from, from_step, to, to_step, count);
    default:
      for (int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, bytes);
  }
}

// Whether the innermost elements of both views lie side by side.
bool moves_runs(const Shape& extents, const std::vector<int64_t>& strides) {
  return strides.back() == 1 && extents.size() > 1;
}

// The two innermost axes at once, element by element in bytes: copy(dense offset, strided offset, runs, strided step).
template <class Copy>
void walk_runs(const Shape& extents, const std::vector<int64_t>& strides, Copy copy) {
  const size_t axis = extents.size() - 2;
  Shape outer(extents.begin(), extents.end() - 1);
  std::vector<int64_t> steps(strides.begin(), strides.end() - 1);
  const int64_t width = extents.back();
  walk(outer, steps,
       [&](int64_t dense_at, int64_t strided_at) { copy(dense_at * width, strided_at, extents[axis], strides[axis]); });
}

// Where the elements of the dense and of the strided view begin; one of them is written.
template <class Dense, class Strided>
struct Views {
  Dense* dense;
  Strided* strided;
};

// Calls move(dense element, strided element) for all of them.
template <class Dense, class Strided, class Move>
void move_rows(DataType type, Views<Dense, Strided> views, Shape extents, std::vector<int64_t> strides, Move move) {
  simplify(extents, strides);
  const int64_t width = extents.back();
  const int64_t step = strides.back();
  if (moves_runs(extents, strides)) {
    const auto size = static_cast<int64_t>(data_type_bits(type) / 8);
    const auto bytes = static_cast<size_t>(width * size);
    walk_runs(extents, strides, [&](int64_t dense_at, int64_t strided_at, int64_t runs, int64_t run_step) {
      if constexpr (std::is_const_v<Dense>) {
        copy_runs(views.dense + dense_at * size, width * size, views.strided + strided_at * size, run_step * size, runs,
                  bytes);
      } else {
        copy_runs(views.strided + strided_at * size, run_step * size, views.dense + dense_at * size, width * size, runs,
                  bytes);
      }
    });
    return;
  }
  dispatch_width(type, [&]<class U>() {
    auto* dense = reinterpret_cast<std::conditional_t<std::is_const_v<Dense>, const U, U>*>(views.dense);
    auto* strided = reinterpret_cast<std::conditional_t<std::is_const_v<Strided>, const U, U>*>(views.strided);
    walk(extents, strides, [&](int64_t dense_at, int64_t strided_at) {
      if (step == 1) {
        for (int64_t i = 0; i < width; ++i) move(dense[dense_at + i], strided[strided_at + i]);
      } else {
        for (int64_t i = 0; i < width; ++i) move(dense[dense_at + i], strided[strided_at + i * step]);
      }
    });
  });
}

}  // namespace

void copy_strided(DataType type, const std::byte* from, const std::vector<int64_t>& strides, std::byte* to,
                  const Shape& extents) {
  const auto gather = [](auto& dense, const auto& strided) { dense = strided; };
  move_rows(type, Views<std::byte, const std::byte>{.dense = to, .strided = from}, extents, strides, gather);
}

void scatter_strided(DataType type, const std::byte* from, const Shape& extents, std::byte* to,
                     const std::vector<int64_t>& strides) {
  const auto scatter = [](const auto& dense, auto& strided) { strided = dense; };
  move_rows(type, Views<const std::byte, std::byte>{.dense = from, .strided = to}, extents, strides, scatter);
}

std::vector<int64_t> in_memory_order(std::vector<int64_t> by_axis, Layout layout) {
  return memory_shape(by_axis, layout);
}

std::vector<int64_t> element_strides(const Tensor& tensor) {
  const std::vector<int64_t> in_memory = dense_strides(memory_shape(tensor.shape(), tensor.layout()));
  std::vector<int64_t> strides(tensor.rank());
  for (size_t axis = 0; axis < strides.size(); ++axis) {
    strides[axis] = in_memory[memory_axis(axis, tensor.rank(), tensor.layout())];
  }
  return strides;
}

Tensor strided_tensor(DataType type, const std::byte* from, const std::vector<int64_t>& strides, const Shape& shape,
                      Layout layout, Workspace& workspace) {
  Tensor result = workspace.allocate(type, shape, layout);
  copy_strided(type, from, in_memory_order(strides, layout), result.mutable_bytes(), memory_shape(shape, layout));
  return result;
}

namespace {

// The same bytes in the same places, read as another shape in another order.
Tensor rearranged(const Tensor& input, Shape shape, Layout layout) {
  return {input.type(), std::move(shape), layout, std::make_shared<const Tensor>(input), input.bytes(), false};
}

// Whether elements at these strides lie as a tensor of this shape and order stores them.
bool lies_as(const Shape& shape, const std::vector<int64_t>& strides, Layout layout) {
  if (layout == Layout::kChannelsLast && shape.size() < 3) return false;
  const Shape extents = memory_shape(shape, layout);
  const std::vector<int64_t> steps = in_memory_order(strides, layout);
  const std::vector<int64_t> dense = dense_strides(extents);
  for (size_t i = 0; i < extents.size(); ++i) {
    if (extents[i] != 1 && steps[i] != dense[i]) return false;
  }
  return true;
}

}  // namespace

Tensor permuted(const Tensor& input, const std::vector<int64_t>& order, Workspace& workspace, Layout allowed) {
  const std::vector<int64_t> strides = element_strides(input);
  Shape shape;
  std::vector<int64_t> steps;
  for (const int64_t axis : order) {
    shape.push_back(input.shape()[static_cast<size_t>(axis)]);
    steps.push_back(strides[static_cast<size_t>(axis)]);
  }
  if (lies_as(shape, steps, Layout::kPlain)) return rearranged(input, shape, Layout::kPlain);
  if (allowed == Layout::kChannelsLast && lies_as(shape, steps, Layout::kChannelsLast)) {
    return rearranged(input, shape, Layout::kChannelsLast);
  }
  return strided_tensor(input.type(), input.bytes(), steps, shape, Layout::kPlain, workspace);
}

}  // namespace narrow::exec
