#include "lib/runtime/qoperator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "lib/exec/constants.h"
#include "lib/graph/attributes.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/inputs.h"

namespace narrow::runtime {
namespace {

constexpr int kNone = -1;

/// How many integer tensors an operator reads, each followed by its scale and zero point.
enum class Operands { kOne, kTwo, kAllBehindFirst };

struct QOperatorRow {
  std::string_view domain;
  std::string_view op_type;
  std::string_view real;  // the float operator
  Operands operands;
  int bias;    // position of int32 sums in steps of both operands' scales, or kNone
  int result;  // position of the result's scale; its zero point follows
};

// Sorted by domain and name.
constexpr std::array kRows{
    QOperatorRow{"", "QLinearConv", "Conv", Operands::kTwo, 8, 6},
    QOperatorRow{"", "QLinearMatMul", "MatMul", Operands::kTwo, kNone, 6},
    QOperatorRow{"com.microsoft", "QGemm", "Gemm", Operands::kTwo, 6, 7},
    QOperatorRow{"com.microsoft", "QLinearAdd", "Add", Operands::kTwo, kNone, 6},
    QOperatorRow{"com.microsoft", "QLinearAveragePool", "AveragePool", Operands::kOne, kNone, 3},
    QOperatorRow{"com.microsoft", "QLinearConcat", "Concat", Operands::kAllBehindFirst, kNone, 0},
    QOperatorRow{"com.microsoft", "QLinearGlobalAveragePool", "GlobalAveragePool", Operands::kOne, kNone, 3},
    QOperatorRow{"com.microsoft", "QLinearLeakyRelu", "LeakyRelu", Operands::kOne, kNone, 3},
    QOperatorRow{"com.microsoft", "QLinearMul", "Mul", Operands::kTwo, kNone, 6},
    QOperatorRow{"com.microsoft", "QLinearSigmoid", "Sigmoid", Operands::kOne, kNone, 3},
    QOperatorRow{"com.microsoft", "QLinearSoftmax", "Softmax", Operands::kOne, kNone, 3},
};

const QOperatorRow* find_row(const onnx::NodeProto& node) {
  const std::string_view domain = graph::canonical_domain(node.domain());
  const auto* row = std::find_if(kRows.begin(), kRows.end(), [&](const QOperatorRow& candidate) {
    return candidate.domain == domain && candidate.op_type == node.op_type();
  });
  return row == kRows.end() ? nullptr : row;
}

/// (a, b, scale of a, scale of b, zero point of a, zero point of b, bias) -> float32.
bool is_product_to_float(const onnx::NodeProto& node) {
  return graph::canonical_domain(node.domain()) == "com.microsoft" && node.op_type() == "MatMulIntegerToFloat";
}

/// Positions of the integer tensors that the node reads.
std::vector<int> operand_positions(const QOperatorRow& row, const onnx::NodeProto& node) {
  if (row.operands == Operands::kOne) return {0};
  if (row.operands == Operands::kTwo) return {0, 3};
  std::vector<int> positions;
  for (int i = 2; i + 1 < node.input_size(); i += 3) positions.push_back(i);
  return positions;
}

/// The axis that scales of a product's second operand lie along.
int64_t weight_axis(const QOperatorRow& row, const onnx::NodeProto& node) {
  if (row.real == "Conv") return 0;
  if (row.real == "Gemm") return graph::int_attribute(node, "transB", 0) != 0 ? 0 : 1;
  return -1;
}

class Conversion {
 public:
  explicit Conversion(const graph::Model& model)
      : original_(model), index_(model.graph()), constants_(model), result_(model) {
    for (const onnx::NodeProto& node : model.graph().node()) {
      names_.insert(node.name());
      names_.insert(node.output().begin(), node.output().end());
    }
  }

  graph::Model run() {
    onnx::GraphProto& graph = result_.mutable_graph();
    graph.clear_node();
    for (const onnx::NodeProto& node : original_.graph().node()) {
      const QOperatorRow* row = find_row(node);
      if (row != nullptr && can_convert(*row, node)) {
        convert(*row, node);
        continue;
      }
      if (is_product_to_float(node) && is_float_constant(node.input(2)) && is_float_constant(node.input(3))) {
        convert_product_to_float(node);
        continue;
      }
      if (node.op_type() == "Constant") constants_.fold(node, original_.opset());
      *graph.add_node() = node;
    }
    return std::move(result_);
  }

 private:
  bool has_value(const std::string& value) const {
    return names_.contains(value) || index_.has_value(value) || constants_.is_initializer(value);
  }

  std::string unique(const std::string& wanted) {
    std::string name = wanted;
    for (int i = 1; has_value(name); ++i) name = fmt::format("{}_{}", wanted, i);
    names_.insert(name);
    return name;
  }

  bool is_float_constant(const std::string& value) const {
    const Tensor* constant = constants_.find(value);
    return constant != nullptr && constant->type() == DataType::kFloat32 && constant->size() > 0;
  }

  bool can_convert(const QOperatorRow& row, const onnx::NodeProto& node) const {
    if (node.output_size() != 1 || graph::int_attribute(node, "channels_last", 0) != 0) return false;
    // Before opset 13 Softmax flattens; the node says which one it means.
    const bool flattens = original_.opset() < 13;
    if (row.real == "Softmax" && (graph::int_attribute(node, "opset", 13) < 13) != flattens) return false;
    for (const int position : operand_positions(row, node)) {
      if (position >= node.input_size() || !is_float_constant(graph::input_or_none(node, position + 1))) return false;
    }
    const std::string result_scale = graph::input_or_none(node, row.result);
    return result_scale.empty() ? row.real == "Gemm" : is_float_constant(result_scale);
  }

  onnx::NodeProto& add(std::string_view op_type, const std::string& name, const std::vector<std::string>& inputs,
                       const std::string& output) {
    onnx::NodeProto& node = *result_.mutable_graph().add_node();
    node.set_op_type(std::string(op_type));
    node.set_name(name);
    for (const std::string& input : inputs) {
      if (!input.empty() || &input != &inputs.back()) node.add_input(input);
    }
    node.add_output(output);
    return node;
  }

  /// The real value behind integers; made once for equal scale and zero point.
  std::string dequantized(const std::string& integer, const std::string& scale, const std::string& zero_point,
                          std::optional<int64_t> axis) {
    auto& real = reals_[{integer, scale, zero_point}];
    if (!real.empty()) return real;
    real = unique(integer + "/real");
    onnx::NodeProto& node = add("DequantizeLinear", unique(real + "/dequantize"), {integer, scale, zero_point}, real);
    const Tensor* scales = constants_.find(scale);
    if (axis && scales != nullptr && scales->size() > 1) graph::set_int_attribute(node, "axis", *axis);
    declare(real, integer);
    return real;
  }

  /// `real` is float32 in the shape of `integer`.
  void declare(const std::string& real, const std::string& integer) {
    const graph::ValueType type = index_.type(integer);
    if (!type.shape) return;
    onnx::ValueInfoProto& info = *result_.mutable_graph().add_value_info();
    info.set_name(real);
    info.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
    auto& shape = *info.mutable_type()->mutable_tensor_type()->mutable_shape();
    for (const int64_t dimension : *type.shape) {
      auto& added = *shape.add_dim();
      if (dimension >= 0) added.set_dim_value(dimension);
    }
  }

  /// A bias has the step of the products it is added to.
  std::string dequantized_bias(const QOperatorRow& row, const onnx::NodeProto& node) {
    const Tensor& x = *constants_.find(node.input(1));
    const Tensor& w = *constants_.find(node.input(4));
    Tensor scales(DataType::kFloat32, w.size() == 1 ? Shape{} : Shape{w.size()});
    const float alpha = graph::float_attribute(node, "alpha", 1.0F);
    for (int64_t i = 0; i < w.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      scales.mutable_data<float>()[at] = alpha * x.data<float>()[0] * w.data<float>()[at];
    }
    const std::string name = unique(node.input(row.bias) + "/scale");
    *result_.mutable_graph().add_initializer() = graph::tensor_proto(name, scales);
    std::string real = unique(node.input(row.bias) + "/real");
    onnx::NodeProto& made =
        add("DequantizeLinear", unique(real + "/dequantize"), {node.input(row.bias), name, std::string()}, real);
    const int64_t bias_rank = row.real == "Gemm" ? bias_axis(node.input(row.bias)) : 0;
    if (w.size() > 1) graph::set_int_attribute(made, "axis", bias_rank);
    return real;
  }

  /// Gemm's C may be [N] or [1, N].
  int64_t bias_axis(const std::string& bias) const {
    const graph::ValueType type = index_.type(bias);
    return type.shape && !type.shape->empty() ? static_cast<int64_t>(type.shape->size()) - 1 : 0;
  }

  /// What the integers stand for, by the name that onnxruntime's quantizer gave them where it did.
  std::string real_name(const std::string& integer) {
    constexpr std::string_view kSuffix = "_quantized";
    if (integer.size() > kSuffix.size() && integer.ends_with(kSuffix)) {
      std::string real = integer.substr(0, integer.size() - kSuffix.size());
      if (!has_value(real)) return unique(real);
    }
    return unique(integer + "/before_quantize");
  }

  void convert(const QOperatorRow& row, const onnx::NodeProto& node) {
    std::vector<std::string> inputs;
    for (const int position : operand_positions(row, node)) {
      const std::optional<int64_t> axis = position == 3 ? std::optional(weight_axis(row, node)) : std::nullopt;
      inputs.push_back(
          dequantized(node.input(position), node.input(position + 1), graph::input_or_none(node, position + 2), axis));
    }
    if (!graph::input_or_none(node, row.bias).empty()) inputs.push_back(dequantized_bias(row, node));
    const std::string scale = graph::input_or_none(node, row.result);
    const std::string real = scale.empty() ? node.output(0) : real_name(node.output(0));
    onnx::NodeProto& made = add(row.real, node.name(), inputs, real);
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.name() != "channels_last" && attribute.name() != "opset") *made.add_attribute() = attribute;
    }
    if (scale.empty()) return;
    declare(real, node.output(0));
    add("QuantizeLinear", unique(real + "/quantize"), {real, scale, graph::input_or_none(node, row.result + 1)},
        node.output(0));
  }

  void convert_product_to_float(const onnx::NodeProto& node) {
    const std::string a = dequantized(node.input(0), node.input(2), graph::input_or_none(node, 4), std::nullopt);
    const std::string b = dequantized(node.input(1), node.input(3), graph::input_or_none(node, 5), -1);
    const std::string bias = graph::input_or_none(node, 6);
    const std::string product = bias.empty() ? node.output(0) : unique(node.output(0) + "/product");
    add("MatMul", node.name(), {a, b}, product);
    if (bias.empty()) return;
    declare(product, node.output(0));
    add("Add", unique(node.name() + "/bias"), {product, bias}, node.output(0));
  }

  const graph::Model& original_;
  graph::GraphIndex index_;
  exec::Constants constants_;
  graph::Model result_;
  std::set<std::string> names_;
  std::map<std::tuple<std::string, std::string, std::string>, std::string> reals_;
};

}  // namespace

std::optional<graph::Model> qoperators_to_qdq(const graph::Model& model) {
  const auto& nodes = model.graph().node();
  const bool any = std::any_of(nodes.begin(), nodes.end(),
                               [](const auto& node) { return find_row(node) != nullptr || is_product_to_float(node); });
  if (!any) return std::nullopt;
  return Conversion(model).run();
}

}  // namespace narrow::runtime
