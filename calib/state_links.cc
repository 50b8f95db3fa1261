// How the state of a model with a memory begins.
#include <algorithm>

#include "calib/data_reader.h"
#include "lib/base/error.h"
#include "lib/tensor/shape.h"

namespace narrow::calib {
namespace {

using Dimension = onnx::TensorShapeProto::Dimension;

const onnx::TensorShapeProto* shape_of(const google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& values,
                                       const std::string& name) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& value) { return value.name() == name; });
  if (found == values.end() || !found->type().has_tensor_type() || !found->type().tensor_type().has_shape()) {
    return nullptr;
  }
  return &found->type().tensor_type().shape();
}

class FirstState {
 public:
  FirstState(const onnx::GraphProto& graph, const InputConfig& config) : graph_(graph), config_(config) {}

  /// Empty where the model does not tell the rank.
  std::vector<exec::StateDimension> of(const std::string& input, const InputOptions& options) const {
    const onnx::TensorShapeProto* declared = shape_of(graph_.input(), input);
    if (options.shape) return given(input, *options.shape, declared);
    if (declared == nullptr) return {};
    const onnx::TensorShapeProto* made = shape_of(graph_.output(), options.from_output);
    std::vector<exec::StateDimension> first;
    for (int axis = 0; axis < declared->dim_size(); ++axis) {
      const bool comparable = made != nullptr && made->dim_size() == declared->dim_size();
      first.push_back(begin(declared->dim(axis), comparable ? &made->dim(axis) : nullptr));
    }
    return first;
  }

 private:
  static std::vector<exec::StateDimension> given(const std::string& input, const std::vector<int64_t>& shape,
                                                 const onnx::TensorShapeProto* declared) {
    std::vector<exec::StateDimension> first;
    for (const int64_t size : shape) first.push_back({.size = size});
    if (declared == nullptr) return first;
    const bool fits =
        declared->dim_size() == static_cast<int>(shape.size()) &&
        std::equal(shape.begin(), shape.end(), declared->dim().begin(), [](int64_t size, const Dimension& dimension) {
          return !dimension.has_dim_value() || dimension.dim_value() == size;
        });
    if (!fits) {
      throw Error(ErrorKind::kUsage, "inputs.{}.shape: {} is not as the model declares the input", input,
                  shape_text(shape));
    }
    return first;
  }

  /// `made`: the same dimension of the output; nullptr: unknown.
  exec::StateDimension begin(const Dimension& declared, const Dimension* made) const {
    if (declared.has_dim_value()) return {.size = declared.dim_value()};
    if (declared.dim_param().empty()) return {};
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      const auto options = config_.find(input.name());
      if (options != config_.end() && !options->second.from_output.empty()) continue;
      const auto& dimensions = input.type().tensor_type().shape().dim();
      for (int axis = 0; axis < dimensions.size(); ++axis) {
        if (dimensions[axis].dim_param() != declared.dim_param()) continue;
        return {.size = 1, .input = input.name(), .axis = static_cast<size_t>(axis)};
      }
    }
    if (made == nullptr) return {};
    if (made->has_dim_value()) return {.size = made->dim_value()};
    return {.size = made->dim_param() == declared.dim_param() ? 1 : 0};
  }

  const onnx::GraphProto& graph_;
  const InputConfig& config_;
};

}  // namespace

std::vector<exec::StateLink> state_links(const onnx::GraphProto& graph, const InputConfig& config) {
  const FirstState first(graph, config);
  std::vector<exec::StateLink> links;
  for (const auto& [name, options] : config) {
    if (options.from_output.empty()) continue;
    links.push_back({.input = name, .output = options.from_output, .first = first.of(name, options)});
  }
  return links;
}

}  // namespace narrow::calib
