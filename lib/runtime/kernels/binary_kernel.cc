#include "lib/runtime/kernels/binary_kernel.h"

#include <algorithm>
#include <vector>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/ref/elementwise.h"

namespace narrow::runtime {
namespace {

// One loop of the nest over the result, outermost first: how far each operand moves per step.
struct Loop {
  int64_t count = 1;
  int64_t a_stride = 0;
  int64_t b_stride = 0;
};

Shape broadcast_shape(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) {
      throw Error(ErrorKind::kModel, "shapes {} and {} do not broadcast", shape_text(a), shape_text(b));
    }
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

// Axes from outermost to innermost in memory.
std::vector<size_t> memory_order(size_t rank, Layout layout) {
  std::vector<size_t> order(rank);
  for (size_t i = 0; i < rank; ++i) order[i] = i;
  if (layout == Layout::kChannelsLast) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return order;
}

// Stride per axis of a result of `rank`; 0 where the operand repeats.
std::vector<int64_t> broadcast_strides(const Tensor& operand, size_t rank) {
  std::vector<int64_t> strides(rank, 0);
  const std::vector<size_t> order = memory_order(operand.rank(), operand.layout());
  int64_t stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const int64_t size = operand.shape()[order[i]];
    if (size != 1) strides[rank - operand.rank() + order[i]] = stride;
    stride *= size;
  }
  return strides;
}

// Whether numpy's innermost loop over the plain tensors would repeat one element of `a` beside several of `b`.
bool repeats_innermost(const Shape& a, const Shape& b) {
  for (size_t i = 1; i <= b.size(); ++i) {
    const int64_t count = i <= a.size() ? a[a.size() - i] : 1;
    if (count != 1) return false;
    if (b[b.size() - i] != 1) return true;
  }
  return false;
}

// The loop nest in the result's memory order, neighbouring loops joined where both operands allow it.
std::vector<Loop> loop_nest(const Tensor& a, const Tensor& b, const Shape& shape, Layout layout) {
  const std::vector<int64_t> a_strides = broadcast_strides(a, shape.size());
  const std::vector<int64_t> b_strides = broadcast_strides(b, shape.size());
  std::vector<Loop> nest;
  for (const size_t axis : memory_order(shape.size(), layout)) {
    const Loop loop{shape[axis], a_strides[axis], b_strides[axis]};
    if (loop.count == 1) continue;
    if (!nest.empty() && nest.back().a_stride == loop.a_stride * loop.count &&
        nest.back().b_stride == loop.b_stride * loop.count) {
      nest.back() = {nest.back().count * loop.count, loop.a_stride, loop.b_stride};
    } else {
      nest.push_back(loop);
    }
  }
  if (nest.empty()) nest.push_back({});
  return nest;
}

// Passes of the outermost `loops` loops together.
int64_t count_of(const std::vector<Loop>& nest, size_t loops) {
  int64_t count = 1;
  for (size_t i = 0; i < loops; ++i) count *= nest[i].count;
  return count;
}

// Elements of the operands at pass `index` of the outermost `loops` loops.
struct Place {
  int64_t a = 0;
  int64_t b = 0;
};
Place place_of(const std::vector<Loop>& nest, size_t loops, int64_t index) {
  Place place;
  for (size_t i = loops; i-- > 0;) {
    place.a += index % nest[i].count * nest[i].a_stride;
    place.b += index % nest[i].count * nest[i].b_stride;
    index /= nest[i].count;
  }
  return place;
}

// Elements that vector code handles well at a time.
constexpr int64_t kLongRow = 256;

// Few elements in a row, and one operand the same in every row, such as a gate for each of few channels.
bool has_short_rows(const std::vector<Loop>& nest) {
  if (nest.size() < 2) return false;
  const Loop& inner = nest.back();
  const Loop& rows = nest[nest.size() - 2];
  const bool repeats_a = rows.a_stride == 0 && rows.b_stride == inner.count;
  const bool repeats_b = rows.b_stride == 0 && rows.a_stride == inner.count;
  return inner.count * 4 <= kLongRow && inner.a_stride == 1 && inner.b_stride == 1 && (repeats_a || repeats_b);
}

// One order of the operands.
class Nest {
 public:
  Nest(const BinaryStep& step, KernelChoice choice) : step_(step), choice_(choice) {}

  void compute(const Tensor& a, const Tensor& b, Layout layout, Tensor& result) const {
    const std::vector<Loop> nest = loop_nest(a, b, result.shape(), layout);
    Byte* y = bytes_of(result);
    const Loop inner = nest.back();
    if (has_short_rows(nest)) return short_rows(nest, a, b, y);
    const int64_t rows = count_of(nest, nest.size() - 1);
    if (rows == 1) {
      parallel_for(inner.count, kElementGrain, [&](int64_t begin, int64_t end) {
        row({end - begin, inner.a_stride, inner.b_stride}, bytes_of(a) + begin * inner.a_stride,
            bytes_of(b) + begin * inner.b_stride, y + begin);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(1, kElementGrain / inner.count), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const Place at = place_of(nest, nest.size() - 1, r);
        row(inner, bytes_of(a) + at.a, bytes_of(b) + at.b, y + r * inner.count);
      }
    });
  }

 private:
  // Long rows, for which the operand that repeats is written out several times.
  void short_rows(const std::vector<Loop>& nest, const Tensor& a, const Tensor& b, Byte* y) const {
    const Loop& rows = nest[nest.size() - 2];
    const int64_t length = nest.back().count;
    const bool repeats_b = rows.b_stride == 0;
    const int64_t together = std::min(rows.count, kLongRow / length);
    const int64_t chunks = (rows.count + together - 1) / together;
    const int64_t grain = std::max<int64_t>(1, kElementGrain / (together * length));
    parallel_for(count_of(nest, nest.size() - 2) * chunks, grain, [&](int64_t begin, int64_t end) {
      std::vector<Byte> written(static_cast<size_t>(together * length));
      int64_t outer_written = -1;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t outer = i / chunks;
        const int64_t first = i % chunks * together;
        const Place at = place_of(nest, nest.size() - 2, outer);
        if (outer != outer_written) {
          const Byte* repeated = repeats_b ? bytes_of(b) + at.b : bytes_of(a) + at.a;
          for (int64_t k = 0; k < together; ++k) std::copy_n(repeated, length, written.data() + k * length);
          outer_written = outer;
        }
        const Byte* other = (repeats_b ? bytes_of(a) + at.a : bytes_of(b) + at.b) + first * length;
        row({std::min(together, rows.count - first) * length, 1, 1}, repeats_b ? other : written.data(),
            repeats_b ? written.data() : other, y + (outer * rows.count + first) * length);
      }
    });
  }

  void row(const Loop& loop, const Byte* a, const Byte* b, Byte* y) const {
    if (choice_ == KernelChoice::kFast && loop.a_stride <= 1 && loop.b_stride <= 1) {
      const auto step_of = [](int64_t stride) { return stride == 0 ? OperandStep::kScalar : OperandStep::kVector; };
      binary_elements(step_, a, step_of(loop.a_stride), b, step_of(loop.b_stride), y, static_cast<size_t>(loop.count));
      return;
    }
    for (int64_t i = 0; i < loop.count; ++i)
      y[i] = ref::binary_element(step_, a[i * loop.a_stride], b[i * loop.b_stride]);
  }

  BinaryStep step_;
  KernelChoice choice_;
};

class BinaryKernel : public exec::Kernel {
 public:
  BinaryKernel(const BinaryStep& step, KernelChoice choice)
      : step_(step), choice_(choice), nest_(step, choice), commutes_(form_of(step) == BinaryForm::kSum) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& a = inputs[0];
    const Tensor& b = inputs[1];
    ensure(a.type() == step_.a.storage() && b.type() == step_.b.storage(), "operands have the types planned for");
    const Layout layout = (a.rank() >= b.rank() ? a : b).layout();
    Tensor y = workspace.allocate(step_.y.storage(), broadcast_shape(a.shape(), b.shape()), layout);
    if (y.size() > 0) compute(a, b, layout, y);
    outputs[0] = std::move(y);
  }
  exec::LayoutUse layout_use() const override { return exec::LayoutUse::kAny; }
  std::string implementation() const override { return choice_ == KernelChoice::kFast ? "vector" : "reference"; }

 private:
  // A repeated element is added before the others, whichever operand it is in.
  void compute(const Tensor& a, const Tensor& b, Layout layout, Tensor& y) const {
    if (commutes_ && repeats_innermost(a.shape(), b.shape())) {
      Nest(exchanged(step_), choice_).compute(b, a, layout, y);
    } else {
      nest_.compute(a, b, layout, y);
    }
  }

  BinaryStep step_;
  KernelChoice choice_;
  Nest nest_;
  bool commutes_;
};

}  // namespace

exec::KernelPtr make_binary(const BinaryStep& step, KernelChoice choice) {
  return std::make_unique<BinaryKernel>(step, choice);
}

}  // namespace narrow::runtime
