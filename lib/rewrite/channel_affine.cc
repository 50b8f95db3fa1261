#include "lib/rewrite/channel_affine.h"

#include <algorithm>
#include <cmath>

#include "lib/graph/attributes.h"

namespace narrow::rewrite {
namespace {

using Values = std::vector<double>;

/// A float constant spread over the channels; nullopt if it is no constant, or varies along another axis than theirs.
std::optional<Values> per_channel(const graph::Model& model, const graph::GraphIndex& index, const std::string& name,
                                  size_t rank, int64_t axis, int64_t channels) {
  const onnx::TensorProto* initializer = index.initializer(name);
  if (initializer == nullptr || static_cast<DataType>(initializer->data_type()) != DataType::kFloat32)
    return std::nullopt;
  const Tensor tensor = model.tensor(*initializer);
  if (tensor.rank() > rank) return std::nullopt;
  const auto data = tensor.data<float>();
  const int64_t first = static_cast<int64_t>(rank - tensor.rank());  // broadcasting aligns the last axes
  for (size_t i = 0; i < tensor.rank(); ++i) {
    const bool on_axis = first + static_cast<int64_t>(i) == axis;
    if (tensor.shape()[i] != 1 && !(on_axis && tensor.shape()[i] == channels)) return std::nullopt;
  }
  Values values(static_cast<size_t>(channels));
  for (size_t c = 0; c < values.size(); ++c) values[c] = data[data.size() == 1 ? 0 : c];
  return values;
}

std::optional<ChannelAffine> batch_normalization(const graph::Model& model, const graph::GraphIndex& index,
                                                 const onnx::NodeProto& node, int64_t channels) {
  const bool training = graph::int_attribute(node, "training_mode", 0) != 0;
  const auto wanted =
      std::count_if(node.output().begin(), node.output().end(), [](const auto& o) { return !o.empty(); });
  if (training || wanted != 1 || node.input_size() != 5) return std::nullopt;
  std::vector<Values> constants;
  for (int i = 1; i < 5; ++i) {
    auto values = per_channel(model, index, node.input(i), 1, 0, channels);
    if (!values) return std::nullopt;
    constants.push_back(std::move(*values));
  }
  const double epsilon = graph::float_attribute(node, "epsilon", 1e-5F);
  ChannelAffine affine;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const double factor = constants[0][c] / std::sqrt(constants[3][c] + epsilon);
    affine.factor.push_back(factor);
    affine.offset.push_back(constants[1][c] - constants[2][c] * factor);
  }
  return affine;
}

std::optional<ChannelAffine> arithmetic(const onnx::NodeProto& node, bool value_first, const Values& constant) {
  ChannelAffine affine;
  for (const double k : constant) {
    double factor = 1;
    double offset = 0;
    if (node.op_type() == "Add") {
      offset = k;
    } else if (node.op_type() == "Sub") {
      factor = value_first ? 1 : -1;
      offset = value_first ? -k : k;
    } else if (node.op_type() == "Mul") {
      factor = k;
    } else if (node.op_type() == "Div" && value_first) {
      factor = 1 / k;
    } else {
      return std::nullopt;
    }
    affine.factor.push_back(factor);
    affine.offset.push_back(offset);
  }
  return affine;
}

bool is_finite(const ChannelAffine& affine) {
  const auto finite = [](double x) { return std::isfinite(x); };
  return std::all_of(affine.factor.begin(), affine.factor.end(), finite) &&
         std::all_of(affine.offset.begin(), affine.offset.end(), finite);
}

}  // namespace

std::optional<ChannelAffine> channel_affine(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, const std::string& value, size_t rank,
                                            int64_t axis, int64_t channels) {
  if (!graph::canonical_domain(node.domain()).empty()) return std::nullopt;
  std::optional<ChannelAffine> affine;
  if (node.op_type() == "BatchNormalization") {
    if (axis == 1 && node.input(0) == value) affine = batch_normalization(model, index, node, channels);
  } else if (node.input_size() == 2) {
    const bool first = node.input(0) == value;
    const auto constant = per_channel(model, index, node.input(first ? 1 : 0), rank, axis, channels);
    if (constant) affine = arithmetic(node, first, *constant);
  }
  return affine && is_finite(*affine) ? affine : std::nullopt;
}

}  // namespace narrow::rewrite
