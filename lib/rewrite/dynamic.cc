#include "lib/rewrite/dynamic.h"

#include <algorithm>
#include <set>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"

namespace narrow::rewrite {
namespace {

/// [rows, columns] -> [columns, rows]
Tensor transposed(const Tensor& matrix) {
  const auto rows = static_cast<size_t>(matrix.shape()[0]);
  const auto columns = static_cast<size_t>(matrix.shape()[1]);
  Tensor result(DataType::kFloat32, {matrix.shape()[1], matrix.shape()[0]});
  const auto from = matrix.data<float>();
  const auto to = result.mutable_data<float>();
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) to[column * rows + row] = from[row * columns + column];
  }
  return result;
}

/// Where channels lie in the result: [N, C, spatial...] of a convolution, the last axis of a matrix product.
Shape channel_shape(const onnx::NodeProto& node, int64_t channels, size_t weight_rank) {
  if (node.op_type() != "Conv") return {channels};
  Shape shape(weight_rank - 1, 1);
  shape[0] = channels;
  return shape;
}

}  // namespace

const DynamicWriter::Quantized& DynamicWriter::quantize(const onnx::GraphProto& graph, const std::string& value) {
  const auto [entry, added] = quantized_.try_emplace({&graph, value});
  if (added) {
    entry->second = {editor_.unique_name(value + "_quantized"), editor_.unique_name(value + "_scale"),
                     editor_.unique_name(value + "_zero_point")};
    editor_.add_node("DynamicQuantizeLinear", value + "_DynamicQuantizeLinear", {value},
                     {entry->second.integers, entry->second.scale, entry->second.zero_point});
  }
  return entry->second;
}

std::string DynamicWriter::turned_codes(onnx::GraphProto& graph, const std::string& weight, const Tensor& turned,
                                        const quant::QuantParams& params) {
  std::vector<Turned>& all = turned_[{&graph, weight}];
  const auto known = std::find_if(all.begin(), all.end(), [&](const Turned& one) { return one.params == params; });
  if (known != all.end()) return known->codes;
  all.push_back({params, constants_.add_codes(graph, weight, turned, params)});
  return all.back().codes;
}

onnx::NodeProto& DynamicWriter::replace(onnx::GraphProto& graph, const plan::LayerPlan& layer,
                                        const onnx::NodeProto& node) {
  editor_.edit(graph);
  const std::string& name = layer.node;
  const plan::WeightPlan& weight = *layer.weight;
  const bool turned = node.op_type() == "Gemm" && graph::int_attribute(node, "transB", 0) != 0;
  quant::QuantParams params = weight.params;
  Tensor real = constants_.float_constant(weight.initializer);
  if (turned) {
    real = transposed(real);
    if (params.axis) params.axis = 1 - *params.axis;
  }
  const std::string codes = turned ? turned_codes(graph, weight.initializer, real, params)
                                   : constants_.stored(graph, weight.initializer, params, Zeros::kLeftOut).integers;
  ParameterNames names = constants_.add_parameters(graph, weight.initializer, params, real.shape(), Zeros::kLeftOut);
  std::string scale = names.scale;
  if (node.op_type() == "Conv" && !names.zero_point.empty()) {  // its kernels take one zero point
    ensure(std::set(params.zero_points.begin(), params.zero_points.end()).size() == 1, "one zero point of a Conv");
    const quant::QuantParams one{.type = params.type, .scales = {1}, .zero_points = {params.zero_points[0]}};
    names.zero_point = constants_.add_parameters(graph, weight.initializer, one, {}, Zeros::kLeftOut).zero_point;
  }
  if (node.op_type() == "Conv" && params.axis) {
    const Shape shape = channel_shape(node, real.shape()[0], real.rank());
    scale = constants_.shared_initializer(graph, weight.initializer + "_scale",
                                          Tensor::of<float>(shape, std::span<const float>(params.scales)));
  }
  const Quantized& x = quantize(graph, node.input(0));
  std::vector<std::string> inputs{x.integers, codes, x.zero_point};
  if (!names.zero_point.empty()) inputs.push_back(names.zero_point);

  const std::string sums = editor_.unique_name(name + "_sums");
  const std::string real_sums = editor_.unique_name(name + "_sums_float");
  const std::string scales = editor_.unique_name(name + "_scales");
  onnx::NodeProto& product =
      editor_.add_node(node.op_type() == "Conv" ? "ConvInteger" : "MatMulInteger", name + "_integer", inputs, {sums});
  if (node.op_type() == "Conv") *product.mutable_attribute() = node.attribute();
  onnx::NodeProto& cast = editor_.add_node("Cast", name + "_Cast", {sums}, {real_sums});
  graph::set_int_attribute(cast, "to", onnx::TensorProto::FLOAT);
  editor_.add_node("Mul", name + "_scales", {x.scale, scale}, {scales});
  const bool has_bias = node.input_size() > 2 && !node.input(2).empty();
  const std::string scaled = has_bias ? editor_.unique_name(name + "_scaled") : node.output(0);
  onnx::NodeProto* last = &editor_.add_node("Mul", name + "_Mul", {real_sums, scales}, {scaled});
  if (has_bias) {
    const std::string bias =
        constants_.channel_constant(graph, node.input(2), node.op_type() == "Conv" ? real.rank() : 0);
    last = &editor_.add_node("Add", name + "_Add", {scaled, bias}, {node.output(0)});
  }
  editor_.remove_node(&node);
  return *last;
}

}  // namespace narrow::rewrite
