#include "lib/runtime/quant_graph.h"

#include <algorithm>
#include <cmath>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/packed.h"

namespace narrow::runtime {
namespace {

[[noreturn]] void fail(const onnx::NodeProto& node, const std::string& what) {
  throw Error(ErrorKind::kModel, "node '{}' ({}): {}", graph::node_label(node), node.op_type(), what);
}

std::vector<int32_t> integers(const Tensor& stored) {
  Workspace workspace;
  const Tensor tensor = is_packed(stored.type()) ? unpacked(stored, workspace) : stored;
  std::vector<int32_t> result(static_cast<size_t>(tensor.size()));
  const auto copy = [&](auto values) { std::copy(values.begin(), values.end(), result.begin()); };
  switch (tensor.type()) {
    case DataType::kInt8:
      copy(tensor.data<int8_t>());
      break;
    case DataType::kUint8:
      copy(tensor.data<uint8_t>());
      break;
    case DataType::kInt16:
      copy(tensor.data<int16_t>());
      break;
    case DataType::kUint16:
      copy(tensor.data<uint16_t>());
      break;
    case DataType::kInt32:
      copy(tensor.data<int32_t>());
      break;
    default:
      throw Error(ErrorKind::kInternal, "zero points of type {}", data_type_name(tensor.type()));
  }
  return result;
}

bool is_linear_storage(DataType type) {
  const auto types = quant::quant_types();
  return std::any_of(types.begin(), types.end(),
                     [&](const quant::QuantTypeRow& row) { return row.storage == type && !row.is_float; });
}

std::optional<Tensor> constant_node_value(const onnx::NodeProto& node, const graph::Model& model) {
  if (const auto* value = graph::find_attribute(node, "value")) return model.tensor(value->t());
  if (const auto* value = graph::find_attribute(node, "value_float")) return Tensor::scalar(value->f());
  if (const auto* value = graph::find_attribute(node, "value_int")) {
    return Tensor::scalar(static_cast<int64_t>(value->i()));
  }
  if (const auto* value = graph::find_attribute(node, "value_floats")) {
    const std::vector<float> floats(value->floats().begin(), value->floats().end());
    return Tensor::of<float>({value->floats_size()}, std::span<const float>(floats));
  }
  if (const auto* value = graph::find_attribute(node, "value_ints")) {
    const std::vector<int64_t> ints(value->ints().begin(), value->ints().end());
    return Tensor::of<int64_t>({value->ints_size()}, std::span<const int64_t>(ints));
  }
  return std::nullopt;
}

void check_axis(const onnx::NodeProto& node, const quant::QuantParams& params, const graph::ValueType& type) {
  if (!params.axis || !type.shape) return;
  const auto rank = static_cast<int64_t>(type.shape->size());
  if (*params.axis < -rank || *params.axis >= rank) {
    fail(node, fmt::format("axis {} is outside the rank {} of its input", *params.axis, rank));
  }
  const int64_t channels = (*type.shape)[static_cast<size_t>(normalize_axis(*params.axis, type.shape->size()))];
  if (channels >= 0 && channels != static_cast<int64_t>(params.scales.size())) {
    fail(node, fmt::format("{} scales for an axis of {} channels", params.scales.size(), channels));
  }
}

void check_scales(const onnx::NodeProto& node, const quant::QuantParams& params) {
  for (const float scale : params.scales) {
    if (!(std::isfinite(scale) && scale > 0)) fail(node, fmt::format("scale {} is not a positive number", scale));
  }
  if (params.zero_points.size() != params.scales.size()) {
    fail(node, fmt::format("{} zero points for {} scales", params.zero_points.size(), params.scales.size()));
  }
}

/// One scale and zero point where all channels have the same, as a float layer's own DequantizeLinear has them.
void join_channels(quant::QuantParams& params) {
  const auto alike = [](const auto& values) {
    return std::all_of(values.begin(), values.end(), [&](const auto& value) { return value == values.front(); });
  };
  if (!params.axis || !alike(params.scales) || !alike(params.zero_points)) return;
  params.axis.reset();
  params.scales.resize(1);
  params.zero_points.resize(1);
}

}  // namespace

bool Quantized::per_tensor8() const {
  return !params.axis && (params.type == quant::QuantType::kInt8 || params.type == quant::QuantType::kUint8);
}

bool is_op(const onnx::NodeProto& node, std::string_view op_type) {
  return node.op_type() == op_type && graph::canonical_domain(node.domain()).empty();
}
bool is_quantize(const onnx::NodeProto& node) {
  return is_op(node, "QuantizeLinear");
}
bool is_dequantize(const onnx::NodeProto& node) {
  return is_op(node, "DequantizeLinear");
}

QuantGraph::QuantGraph(const graph::Model& model, const onnx::GraphProto& graph,
                       const std::map<std::string, Tensor>& known)
    : model_(model), graph_(graph), index_(graph), constants_(known.begin(), known.end()) {
  for (const onnx::NodeProto& node : graph.node()) {
    if (is_quantize(node) || is_dequantize(node)) read_node(node);
  }
  find_targets();
}

void QuantGraph::read_node(const onnx::NodeProto& node) {
  if (node.input_size() < 2 || node.output_size() != 1) fail(node, "wrong number of inputs or outputs");
  if (is_quantize(node)) {
    if (const auto storage = storage_of(node)) storage_[node.output(0)] = *storage;
  }
  auto params = read_params(node);
  if (!params) return;
  if (constant(node.input(0)) == nullptr) join_channels(*params);
  const std::string& integer = is_quantize(node) ? node.output(0) : canonical(node.input(0));
  const auto [at, added] = linear_.try_emplace(&node, Quantized{integer, *params});
  if (is_dequantize(node)) {
    sources_[node.output(0)] = &at->second;
    return;
  }
  // A second quantization of the same value with the same parameters is the first one, unless it has a name to keep.
  if (index_.is_output(node.output(0))) return;
  for (const graph::Use& use : index_.uses(node.input(0))) {
    const auto other = use.node == &node ? linear_.end() : linear_.find(use.node);
    if (other == linear_.end() || use.input != 0 || !is_quantize(*use.node) || other->second.params != *params)
      continue;
    canonical_[node.output(0)] = other->second.integer;
    at->second.integer = other->second.integer;
    return;
  }
}

std::optional<DataType> QuantGraph::storage_of(const onnx::NodeProto& node) {
  if (is_quantize(node)) {
    if (node.input_size() > 2 && !node.input(2).empty()) {
      const graph::ValueType type = index_.type(node.input(2));
      if (type.type != DataType::kUndefined) return type.type;
      const Tensor* zero_point = constant(node.input(2));
      return zero_point == nullptr ? std::nullopt : std::optional(zero_point->type());
    }
    const int64_t wanted = graph::int_attribute(node, "output_dtype", 0);
    return wanted == 0 ? DataType::kUint8 : static_cast<DataType>(wanted);
  }
  if (const auto found = storage_.find(node.input(0)); found != storage_.end()) return found->second;
  const graph::ValueType type = index_.type(node.input(0));
  if (type.type != DataType::kUndefined) return type.type;
  if (const Tensor* value = constant(node.input(0))) return value->type();
  // Only the zero point tells what an integer value computed by other nodes is.
  return node.input_size() > 2 && !node.input(2).empty() ? std::optional(index_.type(node.input(2)).type)
                                                         : std::nullopt;
}

std::optional<quant::QuantParams> QuantGraph::read_params(const onnx::NodeProto& node) {
  const std::optional<DataType> storage = storage_of(node);
  const Tensor* scale = constant(node.input(1));
  if (!storage || !is_linear_storage(*storage) || scale == nullptr || scale->type() != DataType::kFloat32 ||
      graph::int_attribute(node, "block_size", 0) != 0) {
    return std::nullopt;
  }
  quant::QuantParams params{
      .type = quant::quant_type_of_storage(*storage), .axis = std::nullopt, .scales = {}, .zero_points = {}};
  if (scale->rank() > 1) fail(node, fmt::format("scale of shape {}", shape_text(scale->shape())));
  params.scales.assign(scale->data<float>().begin(), scale->data<float>().end());
  if (params.scales.empty()) fail(node, "scale has no elements");
  params.zero_points.assign(params.scales.size(), 0);
  if (node.input_size() > 2 && !node.input(2).empty()) {
    const Tensor* zero_point = constant(node.input(2));
    if (zero_point == nullptr) return std::nullopt;
    if (zero_point->type() != *storage) {
      fail(node, fmt::format("zero point of type {} for integers of type {}", data_type_name(zero_point->type()),
                             data_type_name(*storage)));
    }
    params.zero_points = integers(*zero_point);
  }
  if (params.scales.size() > 1) params.axis = graph::int_attribute(node, "axis", 1);
  check_scales(node, params);
  const graph::ValueType type = index_.type(node.input(0));
  check_axis(node, params, type);
  if (params.axis && type.shape) params.axis = normalize_axis(*params.axis, type.shape->size());
  return params;
}

void QuantGraph::find_targets() {
  for (const onnx::NodeProto& node : graph_.node()) {
    const Quantized* found = is_quantize(node) ? linear(node) : nullptr;
    if (found == nullptr || index_.is_output(node.input(0))) continue;
    bool all_agree = true;
    for (const graph::Use& use : index_.uses(node.input(0))) {
      const Quantized* other = use.input == 0 && is_quantize(*use.node) ? linear(*use.node) : nullptr;
      all_agree = all_agree && other != nullptr && other->params == found->params;
    }
    if (all_agree) targets_.try_emplace(node.input(0), found);
  }
}

const Quantized* QuantGraph::source(std::string_view value) const {
  const auto found = sources_.find(value);
  return found == sources_.end() ? nullptr : found->second;
}

DataType QuantGraph::type(const std::string& value) const {
  const auto found = storage_.find(value);
  return found != storage_.end() ? found->second : index_.type(value).type;
}

void QuantGraph::add_constant(const std::string& value, Tensor tensor) {
  constants_[value] = std::move(tensor);
}

void QuantGraph::add_source(const std::string& value, Quantized integers) {
  derived_.push_back(std::move(integers));
  sources_[value] = &derived_.back();
}

const Quantized* QuantGraph::target(std::string_view value) const {
  const auto found = targets_.find(value);
  return found == targets_.end() ? nullptr : found->second;
}

const Quantized* QuantGraph::linear(const onnx::NodeProto& node) const {
  const auto found = linear_.find(&node);
  return found == linear_.end() ? nullptr : &found->second;
}

const std::string& QuantGraph::canonical(const std::string& integer) const {
  const auto found = canonical_.find(integer);
  return found == canonical_.end() ? integer : found->second;
}

std::optional<Tensor> QuantGraph::load_constant(const std::string& value) const {
  if (const onnx::TensorProto* initializer = index_.initializer(value)) return model_.tensor(*initializer);
  const onnx::NodeProto* producer = index_.producer(value);
  if (producer == nullptr) return std::nullopt;
  if (is_op(*producer, "Constant")) return constant_node_value(*producer, model_);
  if (is_quantize(*producer)) {
    const Quantized* params = linear(*producer);
    const Tensor* real = params == nullptr ? nullptr : constant(producer->input(0));
    if (real != nullptr && real->type() == DataType::kFloat32) return quant::quantize(*real, params->params);
  }
  return std::nullopt;
}

const Tensor* QuantGraph::constant(std::string_view value) const {
  if (value.empty()) return nullptr;
  const auto found = constants_.find(value);
  if (found != constants_.end()) return found->second.defined() ? &found->second : nullptr;
  const std::string name(value);
  auto loaded = load_constant(name);
  const Tensor& kept = constants_.emplace(name, loaded ? std::move(*loaded) : Tensor()).first->second;
  return kept.defined() ? &kept : nullptr;
}

}  // namespace narrow::runtime
