#include "lib/rewrite/constant_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/graph/attributes.h"
#include "lib/graph/traverse.h"
#include "lib/rewrite/decoder.h"
#include "lib/tensor/packed.h"

namespace narrow::rewrite {
namespace {

Tensor zero_point_tensor(const quant::QuantParams& params, const Shape& shape) {
  const DataType storage = quant::row(params.type).storage;
  Tensor result(storage, shape);
  if (is_packed(storage)) {
    std::vector<uint8_t> codes(params.zero_points.size());
    std::transform(params.zero_points.begin(), params.zero_points.end(), codes.begin(),
                   [](int32_t zero_point) { return static_cast<uint8_t>(zero_point); });
    pack(storage, codes, result.mutable_bytes());
    return result;
  }
  const size_t width = result.byte_size() / params.zero_points.size();
  // Little-endian two's complement: the low bytes of an int32 are the narrower integer. A floating-point zero is zeros.
  for (size_t i = 0; i < params.zero_points.size(); ++i) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&params.zero_points[i]);
    std::copy(bytes, bytes + width, result.mutable_bytes() + i * width);
  }
  return result;
}

/// A zero point of 0 may be left out; its type then is that of the integers.
bool all_zero(const std::vector<int32_t>& zero_points) {
  return std::all_of(zero_points.begin(), zero_points.end(), [](int32_t zero_point) { return zero_point == 0; });
}

}  // namespace

onnx::GraphProto& ConstantWriter::home_of(const std::string& name) {
  if (places_.empty()) {
    std::vector<onnx::GraphProto*> graphs;
    graph::for_each_graph(editor_.main_graph(), [&](onnx::GraphProto& graph) { graphs.push_back(&graph); });
    size_t number = 0;
    graph::for_each_graph(original_.graph(), [&](const onnx::GraphProto& graph) {
      places_[&graph].now = graphs.at(number++);
      for (const onnx::NodeProto& node : graph.node()) {
        graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) { places_[&body].around = &graph; });
      }
    });
  }
  const auto holds = [&](const onnx::GraphProto* outer, const onnx::GraphProto* inner) {
    while (inner != nullptr && inner != outer) inner = places_.at(inner).around;
    return inner == outer;
  };
  const auto uses = index_.uses(name);
  const onnx::GraphProto* home = index_.graph_of(*uses[0].node);
  for (const graph::Use& use : uses) {
    while (!holds(home, index_.graph_of(*use.node))) home = places_.at(home).around;
  }
  return *places_.at(home).now;
}

std::string ConstantWriter::dequantized(onnx::GraphProto& reader, const std::string& name,
                                        const quant::QuantParams& params, Zeros zeros, Shared shared) {
  onnx::GraphProto& graph = shared == Shared::kValue ? home_of(name) : reader;
  auto& made = made_[name];
  std::string integers;
  for (const Made& known : made) {
    if (known.params != params) continue;
    integers = known.integers;
    if (known.zeros == zeros && known.graph == &graph && !known.value.empty()) return known.value;
  }
  if (integers.empty()) integers = add_integers(name, params);
  std::string value;
  if (quant::needs_decoder(params.type)) {
    Decoder decoder(*this, editor_, graph, ++decoders_);
    value = params.codebooks ? decoder.codebook(name, integers, shape_of(name), params)
                             : decoder.binary(name, integers, shape_of(name), params);
  } else {
    value = add_dequantize(graph, name, integers, params, zeros);
  }
  made.push_back({&graph, params, zeros, integers, value});
  return value;
}

ConstantWriter::Stored ConstantWriter::stored(onnx::GraphProto& graph, const std::string& name,
                                              const quant::QuantParams& params, Zeros zeros) {
  auto& made = made_[name];
  const auto known = std::find_if(made.begin(), made.end(), [&](const Made& other) { return other.params == params; });
  std::string integers = known == made.end() ? add_integers(name, params) : known->integers;
  made.push_back({&graph, params, zeros, integers, {}});
  return {.integers = std::move(integers), .parameters = add_parameters(graph, name, params, shape_of(name), zeros)};
}

Shape ConstantWriter::shape_of(const std::string& name) const {
  const auto& dims = index_.initializer(name)->dims();
  return {dims.begin(), dims.end()};
}

std::string ConstantWriter::add_dequantize(onnx::GraphProto& graph, const std::string& name,
                                           const std::string& integers, const quant::QuantParams& params, Zeros zeros) {
  const ParameterNames names = add_parameters(graph, name, params, shape_of(name), zeros);
  std::vector<std::string> inputs{integers, names.scale};
  if (!names.zero_point.empty()) inputs.push_back(names.zero_point);
  std::string value = editor_.unique_name(name + "_dequantized");
  editor_.edit(graph);
  onnx::NodeProto& node = editor_.add_node("DequantizeLinear", name + "_DequantizeLinear", inputs, {value});
  if (params.axis) graph::set_int_attribute(node, "axis", *params.axis);
  if (params.block > 0) graph::set_int_attribute(node, "block_size", params.block);
  return value;
}

Tensor ConstantWriter::stored_codes(const std::string& name, const quant::QuantParams& params) const {
  Tensor codes = quant::quantize(float_constant(name), params, [&] { original_.release_weights(); });
  return quant::needs_decoder(params.type) ? packed_codes(codes, params) : codes;
}

std::string ConstantWriter::add_integers(const std::string& name, const quant::QuantParams& params) {
  const std::string_view kind = quant::needs_decoder(params.type) ? quant::name(params.type) : "quantized";
  editor_.edit(home_of(name));
  return editor_.add_initializer(fmt::format("{}_{}", name, kind), stored_codes(name, params));
}

std::string ConstantWriter::add_codes(onnx::GraphProto& graph, const std::string& name, const Tensor& real,
                                      const quant::QuantParams& params) {
  editor_.edit(graph);
  std::string codes =
      editor_.add_initializer(name + "_quantized", quant::quantize(real, params, [&] { original_.release_weights(); }));
  return codes;
}

std::string ConstantWriter::channel_constant(onnx::GraphProto& graph, const std::string& name, size_t result_rank) {
  if (result_rank < 3) return name;
  const Tensor vector = float_constant(name);
  Shape shape(result_rank - 1, 1);
  shape[0] = vector.size();
  return shared_initializer(graph, name + "_channels", vector.reshaped(shape));
}

ParameterNames ConstantWriter::add_parameters(onnx::GraphProto& graph, const std::string& name,
                                              const quant::QuantParams& params, const Shape& shape, Zeros zeros) {
  const Shape scales_shape = quant::scale_shape(shape, params.grouping());
  const Tensor scales = Tensor::of<float>(scales_shape, std::span<const float>(params.scales));
  ParameterNames names{.scale = shared_initializer(graph, name + "_scale", scales), .zero_point = {}};
  // DequantizeLinear of int32 allows no zero point but 0, so none is stored.
  const bool left_out =
      params.type == quant::QuantType::kInt32 || (zeros == Zeros::kLeftOut && all_zero(params.zero_points));
  if (left_out) return names;
  names.zero_point = shared_initializer(graph, name + "_zero_point", zero_point_tensor(params, scales_shape));
  return names;
}

std::string ConstantWriter::shared_initializer(onnx::GraphProto& graph, const std::string& wanted,
                                               const Tensor& tensor) {
  const std::string bytes(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size());
  std::string& name = parameters_[{&graph, tensor.type(), tensor.shape(), bytes}];
  editor_.edit(graph);
  if (name.empty()) name = editor_.add_initializer(wanted, tensor);
  return name;
}

}  // namespace narrow::rewrite
