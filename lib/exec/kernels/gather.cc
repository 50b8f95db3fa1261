// Gather and scatter by index tensors.
#include <cstring>
#include <memory>
#include <type_traits>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {
namespace {

int64_t checked_index(int64_t index, int64_t size) {
  if (index < -size || index >= size) throw Error(ErrorKind::kModel, "index {} of {} elements", index, size);
  return index < 0 ? index + size : index;
}

enum class Combine { kReplace, kAdd, kMul, kMax, kMin };

Combine combine_of(const KernelRequest& request) {
  const std::string text = graph::string_attribute(*request.node, "reduction", "none");
  if (text == "none") return Combine::kReplace;
  if (text == "add") return Combine::kAdd;
  if (text == "mul") return Combine::kMul;
  if (text == "max") return Combine::kMax;
  if (text == "min") return Combine::kMin;
  refuse(request, "unknown reduction '" + text + "'");
}

template <class T>
void combine(Combine kind, T& target, T value) {
  if constexpr (std::is_arithmetic_v<T>) {
    switch (kind) {
      case Combine::kReplace:
        break;
      case Combine::kAdd:
        target = static_cast<T>(target + value);
        return;
      case Combine::kMul:
        target = static_cast<T>(target * value);
        return;
      case Combine::kMax:
        target = std::max(target, value);
        return;
      case Combine::kMin:
        target = std::min(target, value);
        return;
    }
  }
  target = value;
}

// Replacing moves bits of any type; the others need numbers.
template <class Body>
void dispatch_combine(Combine kind, DataType type, Body body) {
  if (kind == Combine::kReplace) {
    dispatch_width(type, body);
  } else {
    dispatch_type(FixedTypes(), type, body);
  }
}

// Position in a dense tensor of the `row`-th index tuple of GatherND and ScatterND.
int64_t tuple_offset(const std::vector<int64_t>& indices, int64_t row, int64_t length, const Shape& shape,
                     const std::vector<int64_t>& strides, size_t first_axis) {
  int64_t offset = 0;
  for (int64_t i = 0; i < length; ++i) {
    const size_t axis = first_axis + static_cast<size_t>(i);
    offset += checked_index(indices[static_cast<size_t>(row * length + i)], shape[axis]) * strides[axis];
  }
  return offset;
}

// For each element of `index_shape`: its place in a tensor of `strides`, with the index instead of the axis.
template <class Visit>
void for_each_index(const Tensor& indices, const Shape& data_shape, size_t axis, Visit visit) {
  const std::vector<int64_t> list = int_list(indices);
  const Shape& shape = indices.shape();
  const std::vector<int64_t> strides = dense_strides(data_shape);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (shape.size() != data_shape.size() || (i != axis && shape[i] > data_shape[i])) {
      throw Error(ErrorKind::kModel, "indices {} do not fit {}", shape_text(shape), shape_text(data_shape));
    }
  }
  std::vector<int64_t> position(shape.size(), 0);
  for (size_t i = 0; i < list.size(); ++i) {
    int64_t offset = 0;
    for (size_t k = 0; k < shape.size(); ++k) {
      offset += strides[k] * (k == axis ? checked_index(list[i], data_shape[k]) : position[k]);
    }
    visit(static_cast<int64_t>(i), offset);
    for (size_t k = shape.size(); k-- > 0;) {
      if (++position[k] < shape[k]) break;
      position[k] = 0;
    }
  }
}

Tensor gather_strings(const Tensor& data, const Shape& shape, const std::vector<int64_t>& from) {
  std::vector<std::string> result;
  for (const int64_t at : from) result.push_back(data.strings()[static_cast<size_t>(at)]);
  return Tensor::of_strings(shape, std::move(result));
}

}  // namespace

KernelPtr make_gather(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  return kernel_of(
      [=, operand = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& data = required(inputs, 0);
        const Tensor& indices = operand.required_in(inputs);
        const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, data.rank()));
        const std::span<const int64_t> dimensions(data.shape());
        const int64_t outer = product(dimensions.first(axis));
        const int64_t inner = product(dimensions.subspan(axis + 1));
        std::vector<int64_t> rows = int_list(indices);
        for (int64_t& row : rows) row = checked_index(row, dimensions[axis]);
        Shape shape(data.shape().begin(), data.shape().begin() + static_cast<int64_t>(axis));
        shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
        shape.insert(shape.end(), data.shape().begin() + static_cast<int64_t>(axis) + 1, data.shape().end());
        if (data.type() == DataType::kString) {
          std::vector<int64_t> from;
          for (int64_t o = 0; o < outer; ++o) {
            for (const int64_t row : rows) {
              for (int64_t i = 0; i < inner; ++i) from.push_back((o * dimensions[axis] + row) * inner + i);
            }
          }
          outputs[0] = gather_strings(data, shape, from);
          return;
        }
        if (data_type_bits(data.type()) < 8) throw Error(ErrorKind::kUnsupported, "packed elements");
        const size_t width = storage_bytes(data.type(), inner);
        constexpr size_t kWorthSharing = 4096;
        if (outer == 1 && rows.size() == 1 && width >= kWorthSharing) {
          const std::byte* part = data.bytes() + static_cast<size_t>(rows[0]) * width;
          outputs[0] = Tensor(data.type(), shape, Layout::kPlain, std::make_shared<const Tensor>(data), part, false);
          return;
        }
        outputs[0] = workspace.allocate(data.type(), shape);
        std::byte* to = outputs[0].mutable_bytes();
        for (int64_t o = 0; o < outer; ++o) {
          for (const int64_t row : rows) {
            if (width > 0)
              std::memcpy(to, data.bytes() + static_cast<size_t>(o * dimensions[axis] + row) * width, width);
            to += width;
          }
        }
      });
}

KernelPtr make_gather_elements(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& data = required(inputs, 0);
    const Tensor& indices = required(inputs, 1);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, data.rank()));
    outputs[0] = workspace.allocate(data.type(), indices.shape());
    dispatch_width(data.type(), [&]<class U>() {
      U* to = mutable_elements<U>(outputs[0]);
      const U* from = elements<U>(data);
      for_each_index(indices, data.shape(), axis, [&](int64_t i, int64_t at) { to[i] = from[at]; });
    });
  });
}

KernelPtr make_scatter_elements(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  const Combine kind = combine_of(request);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    required(inputs, 0);
    Tensor data = std::move(inputs[0]);
    const Tensor& indices = required(inputs, 1);
    const Tensor& updates = required(inputs, 2);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, data.rank()));
    if (updates.shape() != indices.shape() || updates.type() != data.type()) {
      throw Error(ErrorKind::kModel, "updates {} do not fit indices {}", shape_text(updates.shape()),
                  shape_text(indices.shape()));
    }
    dispatch_combine(kind, data.type(), [&]<class T>() {
      T* to = mutable_elements<T>(data);
      const T* from = elements<T>(updates);
      for_each_index(indices, data.shape(), axis, [&](int64_t i, int64_t at) { combine(kind, to[at], from[i]); });
    });
    outputs[0] = std::move(data);
  });
}

KernelPtr make_gather_nd(const KernelRequest& request) {
  const int64_t batch_axes = graph::int_attribute(*request.node, "batch_dims", 0);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& data = required(inputs, 0);
    const Tensor& indices = required(inputs, 1);
    const int64_t length = indices.rank() == 0 ? 0 : indices.shape().back();
    const auto batch = static_cast<size_t>(batch_axes);
    const bool ranks_fit =
        indices.rank() > 0 && batch < indices.rank() && batch + static_cast<size_t>(length) <= data.rank();
    if (!ranks_fit || !std::equal(data.shape().begin(), data.shape().begin() + batch_axes, indices.shape().begin())) {
      throw Error(ErrorKind::kModel, "indices {} do not fit {}", shape_text(indices.shape()), shape_text(data.shape()));
    }
    Shape shape(indices.shape().begin(), indices.shape().end() - 1);
    shape.insert(shape.end(), data.shape().begin() + batch_axes + length, data.shape().end());
    outputs[0] = workspace.allocate(data.type(), shape);
    const std::vector<int64_t> list = int_list(indices);
    const std::vector<int64_t> strides = dense_strides(data.shape());
    const std::span<const int64_t> dimensions(data.shape());
    const int64_t inner = product(dimensions.subspan(batch + static_cast<size_t>(length)));
    const int64_t batches = product(dimensions.first(batch));
    const int64_t rows = product(std::span(indices.shape()).first(indices.rank() - 1));
    const int64_t rows_per_batch = batches == 0 ? 0 : rows / batches;
    const int64_t batch_size = batches == 0 ? 0 : data.size() / batches;
    dispatch_width(data.type(), [&]<class U>() {
      U* to = mutable_elements<U>(outputs[0]);
      const U* from = elements<U>(data);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t at =
            row / rows_per_batch * batch_size + tuple_offset(list, row, length, data.shape(), strides, batch);
        std::copy(from + at, from + at + inner, to + row * inner);
      }
    });
  });
}

KernelPtr make_scatter_nd(const KernelRequest& request) {
  const Combine kind = combine_of(request);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    required(inputs, 0);
    Tensor data = std::move(inputs[0]);
    const Tensor& indices = required(inputs, 1);
    const Tensor& updates = required(inputs, 2);
    const int64_t length = indices.rank() == 0 ? 0 : indices.shape().back();
    if (indices.rank() == 0 || static_cast<size_t>(length) > data.rank() || updates.type() != data.type()) {
      throw Error(ErrorKind::kModel, "indices {} do not fit {}", shape_text(indices.shape()), shape_text(data.shape()));
    }
    const std::span<const int64_t> dimensions(data.shape());
    const int64_t inner = product(dimensions.subspan(static_cast<size_t>(length)));
    const int64_t rows = product(std::span(indices.shape()).first(indices.rank() - 1));
    if (updates.size() != rows * inner) {
      throw Error(ErrorKind::kModel, "{} updates, expected {}", updates.size(), rows * inner);
    }
    const std::vector<int64_t> list = int_list(indices);
    const std::vector<int64_t> strides = dense_strides(data.shape());
    dispatch_combine(kind, data.type(), [&]<class T>() {
      T* to = mutable_elements<T>(data);
      const T* from = elements<T>(updates);
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t at = tuple_offset(list, row, length, data.shape(), strides, 0);
        for (int64_t i = 0; i < inner; ++i) combine(kind, to[at + i], from[row * inner + i]);
      }
    });
    outputs[0] = std::move(data);
  });
}

}  // namespace narrow::exec
