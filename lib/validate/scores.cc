#include "lib/validate/scores.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/graph/graph_index.h"
#include "lib/validate/compare.h"

namespace narrow::validate {
namespace {

constexpr std::array<std::string_view, 11> kMakers{"AveragePool",   "Conv",       "Gemm",   "GlobalAveragePool",
                                                   "GlobalMaxPool", "LogSoftmax", "MatMul", "MaxPool",
                                                   "ReduceMean",    "Sigmoid",    "Softmax"};
constexpr std::array<std::string_view, 8> kPassOn{"Cast",    "Dropout", "Flatten",   "Identity",
                                                  "Reshape", "Squeeze", "Transpose", "Unsqueeze"};
constexpr std::array<std::string_view, 4> kScaleOrShift{"Add", "Div", "Mul", "Sub"};

template <size_t kCount>
bool is_one_of(const std::array<std::string_view, kCount>& ops, const onnx::NodeProto& node) {
  return std::find(ops.begin(), ops.end(), node.op_type()) != ops.end();
}

bool is_constant(const graph::GraphIndex& index, const std::string& value) {
  const onnx::NodeProto* producer = index.producer(value);
  if (producer == nullptr) return index.initializer(value) != nullptr;
  if (producer->op_type() == "Constant") return true;
  return is_one_of(kPassOn, *producer) && is_constant(index, producer->input(0));
}

/// The one input that is not constant, or nullptr.
const std::string* varying_input(const graph::GraphIndex& index, const onnx::NodeProto& node) {
  const std::string* varying = nullptr;
  for (const std::string& input : node.input()) {
    if (is_constant(index, input)) continue;
    if (varying != nullptr) return nullptr;
    varying = &input;
  }
  return varying;
}

/// Exp(x) / ReduceSum(Exp(x)), the sum brought to the shape of the rest: softmax as JAX and TensorFlow spell it.
bool is_spelled_softmax(const graph::GraphIndex& index, const onnx::NodeProto& divide) {
  if (divide.op_type() != "Div") return false;
  const onnx::NodeProto* power = index.producer(divide.input(0));
  if (power == nullptr || power->op_type() != "Exp") return false;
  const onnx::NodeProto* sum = index.producer(divide.input(1));
  while (sum != nullptr && (sum->op_type() == "Expand" || is_one_of(kPassOn, *sum))) {
    sum = index.producer(sum->input(0));
  }
  return sum != nullptr && sum->op_type() == "ReduceSum" && sum->input(0) == divide.input(0);
}

bool has_an_inputs_shape(const graph::Model& model, const graph::GraphIndex& index, const std::string& output) {
  const auto shape = index.type(output).shape;
  const auto& inputs = model.graph().input();
  return shape && std::any_of(inputs.begin(), inputs.end(), [&](const onnx::ValueInfoProto& input) {
           const graph::ValueType type = index.type(input.name());
           return index.initializer(input.name()) == nullptr && is_real(type.type) && type.shape == shape;
         });
}

}  // namespace

bool makes_scores(const graph::Model& model, const std::string& output) {
  const graph::GraphIndex index(model.graph());
  if (has_an_inputs_shape(model, index, output)) return false;
  const std::string* value = &output;
  while (value != nullptr) {
    const onnx::NodeProto* node = index.producer(*value);
    if (node == nullptr || !graph::canonical_domain(node->domain()).empty()) return false;
    if (is_one_of(kMakers, *node) || is_spelled_softmax(index, *node)) return true;
    if (is_one_of(kPassOn, *node)) {
      value = &node->input(0);
    } else {
      value = is_one_of(kScaleOrShift, *node) ? varying_input(index, *node) : nullptr;
    }
  }
  return false;
}

}  // namespace narrow::validate
