// Concat and Split: rows copied side by side.
#include "lib/exec/kernels/concat.h"

#include <cstring>

#include "lib/exec/kernels/copy_bytes.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"
#include "lib/exec/layout.h"

namespace narrow::exec {
namespace {

// How an axis splits memory: `outer` rows, each of extent * inner elements.
struct AxisSplit {
  int64_t outer = 1;
  int64_t inner = 1;
};

AxisSplit split_at(const Tensor& tensor, size_t axis) {
  const Shape shape = memory_shape(tensor.shape(), tensor.layout());
  const size_t position = memory_axis(axis, shape.size(), tensor.layout());
  const std::span<const int64_t> dimensions(shape);
  return {product(dimensions.first(position)), product(dimensions.subspan(position + 1))};
}

Shape concatenated_shape(std::span<Tensor> inputs, size_t axis) {
  Shape shape = inputs[0].shape();
  shape[axis] = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& input = required(inputs, i);
    Shape other = input.shape();
    if (other.size() != shape.size() || input.type() != inputs[0].type()) {
      throw Error(ErrorKind::kModel, "inputs of different ranks or types");
    }
    shape[axis] += other[axis];
    other[axis] = shape[axis];
    if (other != shape) {
      throw Error(ErrorKind::kModel, "{} does not continue {}", shape_text(input.shape()),
                  shape_text(inputs[0].shape()));
    }
  }
  return shape;
}

Tensor concatenate_strings(std::span<Tensor> inputs, const Shape& shape, size_t axis) {
  std::vector<std::string> result;
  const AxisSplit split = split_at(inputs[0], axis);
  for (int64_t row = 0; row < split.outer; ++row) {
    for (const Tensor& input : inputs) {
      const auto begin = input.strings().begin() + row * input.shape()[axis] * split.inner;
      result.insert(result.end(), begin, begin + input.shape()[axis] * split.inner);
    }
  }
  return Tensor::of_strings(shape, std::move(result));
}

std::vector<int64_t> split_sizes(int64_t total, std::vector<int64_t> sizes, size_t parts) {
  if (sizes.empty()) {
    // Equal parts; the last is smaller if they do not divide.
    const int64_t each = (total + static_cast<int64_t>(parts) - 1) / static_cast<int64_t>(parts);
    sizes.assign(parts, each);
    sizes.back() = total - each * static_cast<int64_t>(parts - 1);
  }
  int64_t sum = 0;
  for (const int64_t size : sizes) sum += size;
  if (sizes.size() != parts || sum != total || *std::min_element(sizes.begin(), sizes.end()) < 0) {
    throw Error(ErrorKind::kModel, "{} elements do not split into {}", total, shape_text(sizes));
  }
  return sizes;
}

}  // namespace

Tensor concatenate(std::span<Tensor> inputs, int64_t wanted_axis, Workspace& workspace) {
  const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, required(inputs, 0).rank()));
  const Shape shape = concatenated_shape(inputs, axis);
  if (inputs[0].type() == DataType::kString) return concatenate_strings(inputs, shape, axis);
  Tensor result = workspace.allocate(inputs[0].type(), shape, inputs[0].layout());
  const AxisSplit split = split_at(result, axis);
  const size_t width = storage_bytes(result.type(), split.inner);
  const size_t row_bytes = width * static_cast<size_t>(shape[axis]);
  std::byte* to = result.mutable_bytes();
  if (row_bytes == 0) return result;
  struct Part {
    const std::byte* from;
    size_t bytes;
  };
  std::vector<Part> parts;
  for (const Tensor& input : inputs) parts.push_back({input.bytes(), width * static_cast<size_t>(input.shape()[axis])});
  parallel_for(split.outer, std::max<int64_t>(1, 32768 / static_cast<int64_t>(row_bytes)),
               [&](int64_t begin, int64_t end) {
                 for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); ++row) {
                   std::byte* target = to + row * row_bytes;
                   for (const Part& part : parts) {
                     copy_bytes(part.from + row * part.bytes, target, part.bytes);
                     target += part.bytes;
                   }
                 }
               });
  return result;
}

Tensor stack(std::span<const Tensor> tensors, int64_t axis, Workspace& workspace) {
  std::vector<Tensor> rows;
  for (const Tensor& tensor : tensors) {
    const auto position = normalize_axis(axis, tensor.rank() + 1);
    Shape shape = tensor.shape();
    shape.insert(shape.begin() + position, 1);
    rows.push_back(tensor.reshaped(std::move(shape)));
  }
  return concatenate(rows, axis, workspace);
}

Tensor piece_of(const Tensor& tensor, Piece piece, Workspace& workspace) {
  Shape shape = tensor.shape();
  shape[piece.axis] = piece.size;
  const AxisSplit split = split_at(tensor, piece.axis);
  const int64_t extent = tensor.shape()[piece.axis];
  if (tensor.type() == DataType::kString) {
    std::vector<std::string> strings;
    for (int64_t row = 0; row < split.outer; ++row) {
      const auto begin = tensor.strings().begin() + (row * extent + piece.begin) * split.inner;
      strings.insert(strings.end(), begin, begin + piece.size * split.inner);
    }
    return Tensor::of_strings(std::move(shape), std::move(strings));
  }
  Tensor result = workspace.allocate(tensor.type(), std::move(shape), tensor.layout());
  const size_t width = storage_bytes(tensor.type(), split.inner);
  const size_t part = width * static_cast<size_t>(piece.size);
  const std::byte* from = tensor.bytes() + width * static_cast<size_t>(piece.begin);
  std::byte* to = result.mutable_bytes();
  for (int64_t row = 0; row < split.outer && part > 0; ++row, to += part) {
    std::memcpy(to, from + static_cast<size_t>(row * extent) * width, part);
  }
  return result;
}

KernelPtr make_concat(const KernelRequest& request) {
  const int64_t axis = graph::int_attribute(*request.node, "axis", 1);
  return kernel_of([axis](std::span<Tensor> inputs, std::span<Tensor> outputs,
                          Workspace& workspace) { outputs[0] = concatenate(inputs, axis, workspace); },
                   LayoutUse::kAny);
}

KernelPtr make_split(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  const auto attribute = graph::ints_attribute(*request.node, "split");
  const Operand operand = request.opset >= 13 ? Operand(request, 1) : Operand();
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& input = required(inputs, 0);
        const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, input.rank()));
        const auto sizes = split_sizes(input.shape()[axis], axes_of(operand, attribute, inputs), outputs.size());
        int64_t begin = 0;
        for (size_t i = 0; i < outputs.size(); ++i) {
          outputs[i] = piece_of(input, {.axis = axis, .begin = begin, .size = sizes[i]}, workspace);
          begin += sizes[i];
        }
      },
      LayoutUse::kAny);
}

}  // namespace narrow::exec
