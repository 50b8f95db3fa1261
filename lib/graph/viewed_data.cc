#include "lib/graph/viewed_data.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/axis_swap.h"
#include "lib/graph/external_data.h"
#include "lib/graph/external_keys.h"
#include "lib/graph/model.h"
#include "lib/graph/tensor_shape.h"

namespace narrow::graph {

bool can_be_viewed(const onnx::TensorProto& tensor) {
  constexpr size_t kLarge = size_t{1} << 20;  // what is smaller is as well copied
  constexpr int kByte = 8;
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return false;
  const auto type = static_cast<DataType>(tensor.data_type());
  const int bits = data_type_bits(type);
  return bits >= kByte && storage_bytes(type, element_count(shape_of(tensor))) >= kLarge;
}

void transpose_external(onnx::TensorProto& tensor, std::span<const int64_t> permutation) {
  const Shape before = shape_of(tensor);
  for (const AxisSwap& swap : swaps_of(before, permutation)) {
    auto* entry = tensor.add_external_data();
    entry->set_key(std::string(kSwapKey));
    entry->set_value(swap_text(swap));
  }
  for (size_t i = 0; i < before.size(); ++i) {
    tensor.set_dims(static_cast<int>(i), before[static_cast<size_t>(permutation[i])]);
  }
}

void reshape_external(onnx::TensorProto& tensor, const Shape& shape) {
  ensure(element_count(shape) == element_count(shape_of(tensor)), "as many elements as before");
  tensor.clear_dims();
  for (const int64_t size : shape) tensor.add_dims(size);
}

std::optional<onnx::TensorProto> transposed_view(const onnx::NodeProto& node, const onnx::TensorProto& source) {
  if (node.op_type() != "Transpose" || !canonical_domain(node.domain()).empty() || !can_be_viewed(source)) {
    return std::nullopt;
  }
  std::vector<int64_t> axes(static_cast<size_t>(source.dims_size()));
  std::iota(axes.begin(), axes.end(), 0);
  const std::vector<int64_t> permutation = ints_attribute(node, "perm", {axes.rbegin(), axes.rend()});
  if (!std::is_permutation(axes.begin(), axes.end(), permutation.begin(), permutation.end())) return std::nullopt;
  onnx::TensorProto view = source;
  view.set_name(node.output(0));
  transpose_external(view, permutation);
  return view;
}

onnx::TensorProto as_stored(const onnx::TensorProto& tensor) {
  onnx::TensorProto result = tensor;
  if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return result;
  auto& entries = *result.mutable_external_data();
  entries.erase(
      std::remove_if(entries.begin(), entries.end(), [](const auto& entry) { return entry.key() == kSwapKey; }),
      entries.end());
  reshape_external(result, {element_count(shape_of(tensor))});
  return result;
}

}  // namespace narrow::graph
