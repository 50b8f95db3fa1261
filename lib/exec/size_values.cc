#include "lib/exec/size_values.h"

#include <algorithm>
#include <string_view>

#include "lib/graph/attributes.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

using Inputs = std::vector<std::optional<Sizes>>;

bool is_number(const Size& size) {
  return size.kind == Size::Kind::kNumber;
}

std::optional<int64_t> index_in(const Size& size, size_t count) {
  if (!is_number(size)) return std::nullopt;
  const auto signed_count = static_cast<int64_t>(count);
  const int64_t index = size.number < 0 ? size.number + signed_count : size.number;
  return index >= 0 && index < signed_count ? std::optional(index) : std::nullopt;
}

std::optional<Sizes> gather(const Inputs& inputs) {
  Sizes result;
  for (const Size& place : *inputs[1]) {
    const auto index = index_in(place, inputs[0]->size());
    if (!index) return std::nullopt;
    result.push_back((*inputs[0])[static_cast<size_t>(*index)]);
  }
  return result;
}

// One start and one end, without steps.
std::optional<Sizes> slice(const Inputs& inputs) {
  const auto single = [&](size_t i, int64_t otherwise) -> std::optional<int64_t> {
    if (i >= inputs.size()) return otherwise;
    return inputs[i]->size() == 1 && is_number(inputs[i]->front()) ? std::optional(inputs[i]->front().number)
                                                                   : std::nullopt;
  };
  if (inputs.size() < 3 || single(3, 0) != 0 || single(4, 1) != 1) return std::nullopt;
  const auto count = static_cast<int64_t>(inputs[0]->size());
  auto start = single(1, 0);
  auto end = single(2, 0);
  if (!start || !end) return std::nullopt;
  const auto limit = [&](int64_t place) { return std::clamp<int64_t>(place < 0 ? place + count : place, 0, count); };
  start = limit(*start);
  end = std::max(*start, limit(*end));
  return Sizes(inputs[0]->begin() + *start, inputs[0]->begin() + *end);
}

std::optional<Size> multiply(const Size& a, const Size& b) {
  if (a.kind == Size::Kind::kSamples || b.kind == Size::Kind::kSamples) return std::nullopt;
  return is_number(a) && is_number(b) ? Size::of(a.number * b.number) : Size{};
}

std::optional<Size> equal(const Size& a, const Size& b) {
  const bool samples = a.kind == Size::Kind::kSamples || b.kind == Size::Kind::kSamples;
  if (!samples) return is_number(a) && is_number(b) ? Size::of(a.number == b.number ? 1 : 0) : Size{};
  // There is at least one sample.
  const Size& other = a.kind == Size::Kind::kSamples ? b : a;
  return is_number(other) && other.number <= 0 ? std::optional(Size::of(0)) : std::nullopt;
}

template <class Combine>
std::optional<Sizes> combine_each(const Inputs& inputs, Combine combine) {
  const size_t count = std::max(inputs[0]->size(), inputs[1]->size());
  Sizes result;
  for (size_t i = 0; i < count; ++i) {
    const auto pick = [&](const Sizes& sizes) { return sizes[sizes.size() == 1 ? 0 : i]; };
    if (inputs[0]->size() != count && inputs[0]->size() != 1) return std::nullopt;
    if (inputs[1]->size() != count && inputs[1]->size() != 1) return std::nullopt;
    const auto size = combine(pick(*inputs[0]), pick(*inputs[1]));
    if (!size) return std::nullopt;
    result.push_back(*size);
  }
  return result;
}

std::optional<Sizes> where(const Inputs& inputs) {
  Sizes result;
  const size_t count = inputs[0]->size();
  if (inputs[1]->size() != count || inputs[2]->size() != count) return std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    const Size& condition = (*inputs[0])[i];
    const Size& first = (*inputs[1])[i];
    const Size& second = (*inputs[2])[i];
    if (is_number(condition)) {
      result.push_back(condition.number != 0 ? first : second);
      continue;
    }
    if (first.kind == Size::Kind::kSamples || second.kind == Size::Kind::kSamples) return std::nullopt;
    result.emplace_back();
  }
  return result;
}

// As many times the value as the only size says; 0 if the node gives none.
std::optional<Sizes> constant_of_shape(const onnx::NodeProto& node, const Sizes& shape) {
  constexpr int64_t kMostSizes = 64;  // of a list of sizes
  const bool known = shape.size() == 1 && is_number(shape[0]) && shape[0].number >= 0 && shape[0].number <= kMostSizes;
  if (!known) return std::nullopt;
  const onnx::AttributeProto* value = graph::find_attribute(node, "value");
  const bool integer = value != nullptr && value->t().data_type() == onnx::TensorProto::INT64;
  if (!integer) return std::nullopt;
  const Tensor element = graph::embedded_tensor(value->t());
  return Sizes(static_cast<size_t>(shape[0].number), Size::of(element.data<int64_t>()[0]));
}

}  // namespace

std::optional<Sizes> compute_sizes(const onnx::NodeProto& node, const SizesOf& sizes_of) {
  const std::string_view op = node.op_type();
  // Changes of shape between scalars and vectors keep the elements; what else is read is an axis or a shape.
  const bool keeps = op == "Unsqueeze" || op == "Squeeze" || op == "Reshape" || op == "Cast" || op == "Identity";
  Inputs inputs;
  for (int i = 0; i < (keeps ? 1 : node.input_size()); ++i) {
    inputs.push_back(sizes_of(node.input(i)));
    if (!inputs.back()) return std::nullopt;
  }
  if (inputs.empty()) return std::nullopt;
  if (keeps) return inputs[0];
  if (op == "Gather" && inputs.size() == 2) return gather(inputs);
  if (op == "Slice") return slice(inputs);
  if (op == "Mul" && inputs.size() == 2) return combine_each(inputs, multiply);
  if (op == "Equal" && inputs.size() == 2) return combine_each(inputs, equal);
  if (op == "Where" && inputs.size() == 3) return where(inputs);
  if (op == "ConstantOfShape") return constant_of_shape(node, *inputs[0]);
  if (op != "Concat") return std::nullopt;
  Sizes all;
  for (const auto& part : inputs) all.insert(all.end(), part->begin(), part->end());
  return all;
}

}  // namespace narrow::exec
