#include "lib/graph/model.h"

#include <bit>
#include <cstring>

#include "lib/base/error.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

[[noreturn]] void fail_size(const onnx::TensorProto& proto) {
  throw Error(ErrorKind::kModel, "tensor '{}' does not have as many elements as its shape", proto.name());
}

template <class To, class Field>
Tensor from_field(const onnx::TensorProto& proto, DataType type, Shape shape, const Field& field) {
  // Before anything is allocated: a broken file may claim any shape.
  const size_t count = storage_bytes(type, element_count(shape)) / sizeof(To);
  if (static_cast<size_t>(field.size()) != count) fail_size(proto);
  Tensor result(type, std::move(shape));
  auto* target = reinterpret_cast<To*>(result.mutable_bytes());
  for (size_t i = 0; i < count; ++i) target[i] = static_cast<To>(field.Get(static_cast<int>(i)));
  return result;
}

Tensor from_int32_field(const onnx::TensorProto& proto, DataType type, Shape shape) {
  // Narrow types travel one element (or one packed byte) to an int32.
  switch (data_type_bits(type)) {
    case 32:
      return from_field<int32_t>(proto, type, std::move(shape), proto.int32_data());
    case 16:
      return from_field<uint16_t>(proto, type, std::move(shape), proto.int32_data());
    default:
      return from_field<uint8_t>(proto, type, std::move(shape), proto.int32_data());
  }
}

}  // namespace

int imported_version(const OpsetImports& imports, std::string_view domain) {
  for (const auto& import : imports) {
    if (canonical_domain(import.domain()) == canonical_domain(domain)) return static_cast<int>(import.version());
  }
  return 0;
}

int Model::opset(std::string_view domain) const {
  return imported_version(proto_.opset_import(), domain);
}

Tensor Model::tensor(const onnx::TensorProto& proto) const {
  if (proto.data_location() != onnx::TensorProto::EXTERNAL) return embedded_tensor(proto);
  if (!external_)
    throw Error(ErrorKind::kModel, "tensor '{}' is in an external file, and the model in none", proto.name());
  return external_->tensor(proto);
}

void Model::declare_values() {
  std::set<std::string> names;
  for_each_graph(proto_.graph(), [&](const onnx::GraphProto& graph) {
    for (const onnx::ValueInfoProto& value : graph.value_info()) names.insert(value.name());
  });
  declared_ = std::make_shared<const std::set<std::string>>(std::move(names));
}

void Model::release_weights() const {
  if (external_) external_->release();
}

Tensor embedded_tensor(const onnx::TensorProto& proto) {
  const auto type = static_cast<DataType>(proto.data_type());
  Shape shape = shape_of(proto);
  if (type == DataType::kString) {
    if (proto.string_data_size() != element_count(shape)) fail_size(proto);
    return Tensor::of_strings(std::move(shape), {proto.string_data().begin(), proto.string_data().end()});
  }
  if (data_type_bits(type) == 0) {
    throw Error(ErrorKind::kModel, "tensor '{}' has unknown element type {}", proto.name(), proto.data_type());
  }
  if (proto.has_raw_data()) {
    if (proto.raw_data().size() != storage_bytes(type, element_count(shape))) fail_size(proto);
    Tensor result(type, std::move(shape));
    std::memcpy(result.mutable_bytes(), proto.raw_data().data(), result.byte_size());
    return result;
  }
  switch (type) {
    case DataType::kFloat32:
      return from_field<float>(proto, type, std::move(shape), proto.float_data());
    case DataType::kFloat64:
      return from_field<double>(proto, type, std::move(shape), proto.double_data());
    case DataType::kInt64:
      return from_field<int64_t>(proto, type, std::move(shape), proto.int64_data());
    case DataType::kUint32:
      return from_field<uint32_t>(proto, type, std::move(shape), proto.uint64_data());
    case DataType::kUint64:
      return from_field<uint64_t>(proto, type, std::move(shape), proto.uint64_data());
    case DataType::kComplex64:
      return from_field<float>(proto, type, std::move(shape), proto.float_data());
    case DataType::kComplex128:
      return from_field<double>(proto, type, std::move(shape), proto.double_data());
    default:
      return from_int32_field(proto, type, std::move(shape));
  }
}

onnx::TensorProto tensor_proto(std::string_view name, const Tensor& tensor) {
  ensure(tensor.layout() == Layout::kPlain, "tensors are stored in the plain layout");
  onnx::TensorProto proto;
  proto.set_name(std::string(name));
  proto.set_data_type(static_cast<int32_t>(tensor.type()));
  for (const int64_t dimension : tensor.shape()) proto.add_dims(dimension);
  if (tensor.type() == DataType::kString) {
    for (const std::string& text : tensor.strings()) proto.add_string_data(text);
  } else {
    proto.set_raw_data(tensor.bytes(), tensor.byte_size());
  }
  return proto;
}

std::string node_label(const onnx::NodeProto& node) {
  if (!node.name().empty()) return node.name();
  for (const std::string& output : node.output()) {
    if (!output.empty()) return output;
  }
  return node.op_type();
}

std::string_view canonical_domain(std::string_view domain) {
  return domain == "ai.onnx" ? "" : domain;
}

}  // namespace narrow::graph
