// Sequences and optionals. An optional that holds a value is that value; an empty one has a type of its own.
#include "lib/exec/kernels/concat.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

// A position, which may count from the back of a sequence, from the front.
int64_t position_in(const Tensor& position, int64_t length, int64_t last) {
  const auto given = static_cast<int64_t>(scalar_value(position));
  const int64_t result = given < 0 ? given + length : given;
  if (result < 0 || result > last) {
    throw Error(ErrorKind::kModel, "position {} is outside of [-{}, {}]", given, length, last);
  }
  return result;
}

std::vector<int64_t> piece_sizes(const Tensor& split, int64_t extent) {
  if (!split.defined()) return std::vector<int64_t>(static_cast<size_t>(extent), 1);
  std::vector<int64_t> sizes = int_list(split);
  if (split.rank() > 0) {
    int64_t sum = 0;
    for (const int64_t size : sizes) sum += size;
    if (sum == extent && std::all_of(sizes.begin(), sizes.end(), [](int64_t size) { return size >= 0; })) return sizes;
    throw Error(ErrorKind::kModel, "{} elements do not split into {}", extent, shape_text(sizes));
  }
  const int64_t each = sizes[0];
  if (each <= 0) throw Error(ErrorKind::kModel, "pieces of {} elements", each);
  sizes.assign(static_cast<size_t>(extent / each), each);
  if (extent % each != 0) sizes.push_back(extent % each);
  return sizes;
}

Tensor without_axis(const Tensor& tensor, size_t axis) {
  Shape shape = tensor.shape();
  shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis));
  return tensor.reshaped(std::move(shape));
}

}  // namespace

KernelPtr make_sequence_construct(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    outputs[0] = Tensor::of_sequence({std::make_move_iterator(inputs.begin()), std::make_move_iterator(inputs.end())});
  });
}

KernelPtr make_sequence_empty(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> /*inputs*/, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    outputs[0] = Tensor::of_sequence({});
  });
}

KernelPtr make_sequence_length(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    outputs[0] = Tensor::scalar(static_cast<int64_t>(required(inputs, 0).sequence().size()));
  });
}

KernelPtr make_sequence_at(const KernelRequest& request) {
  return kernel_of(
      [position = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
        const Tensor& sequence = required(inputs, 0);
        const int64_t at = position_in(position.required_in(inputs), sequence.size(), sequence.size() - 1);
        outputs[0] = sequence.sequence()[static_cast<size_t>(at)];
      });
}

KernelPtr make_sequence_insert(const KernelRequest& request) {
  return kernel_of([tensor = Operand(request, 1), position = Operand(request, 2)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const int64_t length = required(inputs, 0).size();
    const Tensor& place = position.in(inputs);
    const int64_t at = place.defined() ? position_in(place, length, length) : length;
    std::vector<Tensor> elements = inputs[0].take_sequence();
    elements.insert(elements.begin() + at, tensor.required_in(inputs));
    outputs[0] = Tensor::of_sequence(std::move(elements));
  });
}

KernelPtr make_sequence_erase(const KernelRequest& request) {
  return kernel_of(
      [position = Operand(request, 1)](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
        const int64_t length = required(inputs, 0).size();
        const Tensor& place = position.in(inputs);
        if (length == 0) throw Error(ErrorKind::kModel, "nothing to erase in an empty sequence");
        const int64_t at = place.defined() ? position_in(place, length, length - 1) : length - 1;
        std::vector<Tensor> elements = inputs[0].take_sequence();
        elements.erase(elements.begin() + at);
        outputs[0] = Tensor::of_sequence(std::move(elements));
      });
}

KernelPtr make_split_to_sequence(const KernelRequest& request) {
  const int64_t wanted_axis = graph::int_attribute(*request.node, "axis", 0);
  const bool keeps_axis = graph::int_attribute(*request.node, "keepdims", 1) != 0;
  return kernel_of([wanted_axis, keeps_axis, split = Operand(request, 1)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& input = required(inputs, 0);
    const auto axis = static_cast<size_t>(normalize_axis(wanted_axis, input.rank()));
    const Tensor& sizes = split.in(inputs);
    std::vector<Tensor> pieces;
    int64_t begin = 0;
    for (const int64_t size : piece_sizes(sizes, input.shape()[axis])) {
      pieces.push_back(piece_of(input, {.axis = axis, .begin = begin, .size = size}, workspace));
      if (!keeps_axis && !sizes.defined()) pieces.back() = without_axis(pieces.back(), axis);
      begin += size;
    }
    outputs[0] = Tensor::of_sequence(std::move(pieces));
  });
}

KernelPtr make_concat_from_sequence(const KernelRequest& request) {
  const int64_t axis = graph::int_attribute(*request.node, "axis", 0);
  const bool new_axis = graph::int_attribute(*request.node, "new_axis", 0) != 0;
  return kernel_of([axis, new_axis](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    std::vector<Tensor> elements = required(inputs, 0).sequence();
    if (elements.empty()) throw Error(ErrorKind::kModel, "an empty sequence has nothing to concatenate");
    outputs[0] = new_axis ? stack(elements, axis, workspace) : concatenate(elements, axis, workspace);
  });
}

KernelPtr make_optional(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const bool empty = inputs.empty() || !inputs[0].defined();
    outputs[0] = empty ? Tensor::empty_optional() : std::move(inputs[0]);
  });
}

KernelPtr make_optional_has_element(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    const bool full = !inputs.empty() && inputs[0].defined() && inputs[0].type() != DataType::kEmptyOptional;
    outputs[0] = Tensor::scalar(full);
  });
}

KernelPtr make_optional_get_element(const KernelRequest& /*request*/) {
  return kernel_of([](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& /*workspace*/) {
    if (required(inputs, 0).type() == DataType::kEmptyOptional) throw Error(ErrorKind::kModel, "the optional is empty");
    outputs[0] = std::move(inputs[0]);
  });
}

}  // namespace narrow::exec
