#include "lib/runtime/kernels/statistics_kernels.h"

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/exec/kernels/row_loops.h"
#include "lib/runtime/kernels/elementwise.h"
#include "lib/runtime/kernels/linear_kernels.h"

namespace narrow::runtime {
namespace {

template <class Body>
void with_bytes(const Affine8& params, const Byte* bytes, Body body) {
  if (params.is_signed) {
    body(reinterpret_cast<const int8_t*>(bytes));
  } else {
    body(bytes);
  }
}

/// Which axes of x a reduction keeps, and where their sums lie.
struct Reduced {
  Reduced(const Shape& given, const ReduceStep& step) : shape(given.empty() ? Shape{1} : given) {
    std::vector<bool> summed(shape.size(), step.axes.empty());
    for (const int64_t axis : step.axes) summed[static_cast<size_t>(normalize_axis(axis, given.size()))] = true;
    strides.assign(shape.size(), 0);
    for (size_t i = shape.size(); i-- > 0;) {
      if (summed[i]) {
        terms *= shape[i];
      } else {
        strides[i] = sums;
        sums *= shape[i];
      }
      if (given.empty() || (summed[i] && !step.keep_axes)) continue;
      result.insert(result.begin(), summed[i] ? 1 : shape[i]);
    }
  }

  Shape shape;
  Shape result;
  std::vector<int64_t> strides;  // of the sums by axis of x; 0 where it is summed
  int64_t sums = 1;
  int64_t terms = 1;  // of each sum
};

class ReduceIntegers final : public exec::Kernel {
 public:
  explicit ReduceIntegers(ReduceStep step) : step_(std::move(step)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const Reduced reduced(x.shape(), step_);
    std::vector<int64_t> sums(static_cast<size_t>(reduced.sums), 0);
    with_bytes(step_.x, bytes_of(x), [&](const auto* from) { add_all(reduced, from, sums); });
    Tensor y = workspace.allocate(step_.y.storage(), reduced.result);
    const float terms = step_.mean ? static_cast<float>(reduced.terms) : 1.0F;
    const float multiplier = step_.x.scale / (step_.y.scale * terms);
    const int64_t zeros = reduced.terms * step_.x.zero_point;
    std::vector<float> steps(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) steps[i] = static_cast<float>(sums[i] - zeros) * multiplier;
    const Affine8 unit{1.0F, step_.y.zero_point, step_.y.is_signed};
    quantize_elements(unit, steps.data(), bytes_of(y), steps.size());
    outputs[0] = std::move(y);
  }
  std::string implementation() const override { return "integer sums"; }

 private:
  /// Threads share out the first axis where it is kept: no two add to one sum.
  template <class T>
  static void add_all(const Reduced& reduced, const T* x, std::vector<int64_t>& sums) {
    const int64_t first = reduced.shape[0];
    const int64_t block = first == 0 ? 0 : element_count(reduced.shape) / first;
    if (block == 0) return;
    const bool shared_out = reduced.strides[0] != 0 && reduced.shape.size() > 1;
    const int64_t grain = shared_out ? std::max<int64_t>(1, kElementGrain / block) : first;
    parallel_for(first, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) add(reduced, 1, x + i * block, block, sums.data() + i * reduced.strides[0]);
    });
  }

  /// Adds the `count` elements that axes from `axis` on span.
  template <class T>
  static void add(const Reduced& reduced, size_t axis, const T* x, int64_t count, int64_t* sums) {
    const size_t rank = reduced.shape.size();
    if (axis == rank) {
      *sums += *x;
      return;
    }
    const int64_t stride = reduced.strides[axis];
    if (axis + 1 < rank) {
      const int64_t block = count / reduced.shape[axis];
      for (int64_t i = 0; i < reduced.shape[axis]; ++i) add(reduced, axis + 1, x + i * block, block, sums + i * stride);
    } else if (stride == 0) {
      int64_t total = 0;
      for (int64_t i = 0; i < count; ++i) total += x[i];
      *sums += total;
    } else {
      for (int64_t i = 0; i < count; ++i) sums[i] += x[i];
    }
  }

  ReduceStep step_;
};

struct RowSums {
  int64_t sum = 0;
  int64_t squares = 0;
};

/// Of x - zero point.
template <class T>
RowSums row_sums(const T* x, int64_t count, int32_t zero_point) {
  constexpr int64_t kBlock = int64_t{1} << 14;  // 255^2 * 2^14 < 2^31
  RowSums all;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    int32_t sum = 0;
    int32_t squares = 0;
    for (int64_t i = begin; i < std::min(count, begin + kBlock); ++i) {
      const int32_t centred = x[i] - zero_point;
      sum += centred;
      squares += centred * centred;
    }
    all.sum += sum;
    all.squares += squares;
  }
  return all;
}

class NormalizeIntegers final : public exec::Kernel {
 public:
  explicit NormalizeIntegers(NormalizeStep step) : step_(std::move(step)) {}

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const Tensor& x = inputs[0];
    const auto axis = static_cast<size_t>(normalize_axis(step_.axis, x.rank()));
    int64_t rows = 1;
    int64_t width = 1;
    for (size_t i = 0; i < x.rank(); ++i) (i < axis ? rows : width) *= x.shape()[i];
    const std::vector<float> scale = row_of(step_.scale, width);
    const std::vector<float> shift = step_.shift.defined() ? row_of(step_.shift, width) : std::vector<float>();
    Tensor y = workspace.allocate(step_.y.storage(), x.shape());
    const Byte* from = bytes_of(x);
    Byte* to = bytes_of(y);
    parallel_for(width == 0 ? 0 : rows, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(8 * width, 1)),
                 [&](int64_t begin, int64_t end) {
                   std::vector<float> row(static_cast<size_t>(width));
                   for (int64_t r = begin; r < end; ++r) {
                     normalize(from + r * width, scale, shift, row, to + r * width);
                   }
                 });
    outputs[0] = std::move(y);
  }
  std::string implementation() const override { return "integer sums"; }

 private:
  static std::vector<float> row_of(const Tensor& values, int64_t width) {
    const auto from = values.data<float>();
    if (values.size() == width) return {from.begin(), from.end()};
    if (values.size() == 1) return std::vector<float>(static_cast<size_t>(width), from[0]);
    throw Error(ErrorKind::kModel, "{} numbers for rows of {} elements", values.size(), width);
  }

  void normalize(const Byte* x, const std::vector<float>& scale, const std::vector<float>& shift,
                 std::vector<float>& row, Byte* y) const {
    RowSums sums;
    const auto width = static_cast<int64_t>(row.size());
    with_bytes(step_.x, x, [&](const auto* from) { sums = row_sums(from, width, step_.x.zero_point); });
    const auto count = static_cast<double>(width);
    const double mean = step_.centred ? static_cast<double>(sums.sum) / count : 0;
    const double variance = std::max(0.0, static_cast<double>(sums.squares) / count - mean * mean);
    const double unit = step_.x.scale;
    dequantize_elements({1.0F, step_.x.zero_point, step_.x.is_signed}, x, row.data(), row.size());
    exec::normalize_row(row.data(), mean, unit / std::sqrt(unit * unit * variance + step_.epsilon), scale.data(),
                        shift.empty() ? nullptr : shift.data(), row.data(), row.size());
    quantize_elements(step_.y, row.data(), y, row.size());
  }

  NormalizeStep step_;
};

}  // namespace

exec::KernelPtr make_reduce_integers(ReduceStep step) {
  return std::make_unique<ReduceIntegers>(std::move(step));
}

exec::KernelPtr make_normalize_integers(NormalizeStep step) {
  return std::make_unique<NormalizeIntegers>(std::move(step));
}

}  // namespace narrow::runtime
