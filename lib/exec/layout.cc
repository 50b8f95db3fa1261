#include "lib/exec/layout.h"

#include <algorithm>

namespace narrow::exec {
namespace {

bool has_channels_last_kernels(const Tensor& tensor) {
  switch (tensor.type()) {
    case DataType::kFloat32:
    case DataType::kFloat16:  // run as float32
    case DataType::kBfloat16:
    case DataType::kUint8:
    case DataType::kInt8:
      return tensor.rank() >= 3;
    default:
      return false;
  }
}

// Strings and elements without an address of their own have one order only.
bool is_always_plain(const Tensor& tensor) {
  const int bits = data_type_bits(tensor.type());
  return tensor.defined() && (bits < 8 || bits > 64);
}

// One order for all: channels-last as soon as one operand is, so that it travels as far as possible; plain if an
// operand of lower rank broadcasts, because its axes then count from the back of the plain shape.
Layout common_layout(std::span<const int> inputs, const std::vector<Tensor>& slots) {
  size_t rank = 0;
  bool any_channels_last = false;
  bool any_plain = false;
  for (const int input : inputs) {
    if (input < 0) continue;
    const Tensor& tensor = slots[static_cast<size_t>(input)];
    rank = std::max(rank, tensor.rank());
    any_channels_last = any_channels_last || tensor.layout() == Layout::kChannelsLast;
    any_plain = any_plain || is_always_plain(tensor);
  }
  if (!any_channels_last || any_plain) return Layout::kPlain;
  const bool broadcasts = std::any_of(inputs.begin(), inputs.end(), [&](int input) {
    if (input < 0) return false;
    const Tensor& tensor = slots[static_cast<size_t>(input)];
    return tensor.rank() < rank && tensor.size() != 1;
  });
  return broadcasts ? Layout::kPlain : Layout::kChannelsLast;
}

}  // namespace

void arrange_layouts(LayoutUse use, std::span<const int> inputs, std::vector<Tensor>& slots, Workspace& workspace) {
  const Layout wanted = use == LayoutUse::kAny            ? common_layout(inputs, slots)
                        : use == LayoutUse::kChannelsLast ? Layout::kChannelsLast
                                                          : Layout::kPlain;
  for (const int input : inputs) {
    if (input < 0) continue;
    Tensor& tensor = slots[static_cast<size_t>(input)];
    if (!tensor.defined() || tensor.layout() == wanted) continue;
    if (wanted == Layout::kChannelsLast) {
      if (tensor.rank() < 3) continue;
      if (use == LayoutUse::kChannelsLast && !has_channels_last_kernels(tensor)) continue;
    }
    tensor = to_layout(tensor, wanted, workspace);
  }
}

Shape memory_shape(const Shape& shape, Layout layout) {
  if (layout == Layout::kPlain) return shape;
  Shape result = shape;
  std::rotate(result.begin() + 1, result.begin() + 2, result.end());
  return result;
}

size_t memory_axis(size_t axis, size_t rank, Layout layout) {
  if (layout == Layout::kPlain || axis == 0) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

}  // namespace narrow::exec
