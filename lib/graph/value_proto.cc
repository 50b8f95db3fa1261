#include "lib/graph/value_proto.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/model.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <onnx/onnx-data.pb.h>
#pragma GCC diagnostic pop

namespace narrow::graph {
namespace {

constexpr int kMostDepth = 64;  // of sequences in sequences: no honest file has more than two

Tensor tensor_of(const onnx::TensorProto& proto) {
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) {
    throw Error(ErrorKind::kData, "the tensor is in another file, which is not supported");
  }
  if (proto.data_type() == onnx::TensorProto::UNDEFINED) throw Error(ErrorKind::kData, "not an ONNX tensor");
  try {
    return embedded_tensor(proto);
  } catch (const Error& error) {
    throw Error(ErrorKind::kData, "{}", error.what());
  }
}

// A proto of another kind mostly parses too, with fields left over or in places that its kind does not name.
[[noreturn]] void fail_form(ValueForm form) {
  throw Error(ErrorKind::kData, "not an ONNX {}", form == ValueForm::kSequence ? "sequence" : "optional");
}

[[noreturn]] void fail_kind() {
  throw Error(ErrorKind::kUnsupported, "maps and sparse tensors are not supported");
}

Tensor value_of(const onnx::OptionalProto& proto, int depth);

Tensor value_of(const onnx::SequenceProto& proto, int depth) {
  const bool foreign = !proto.unknown_fields().empty() || depth > kMostDepth;
  const int kinds = static_cast<int>(proto.tensor_values_size() > 0) +
                    static_cast<int>(proto.sequence_values_size() > 0) +
                    static_cast<int>(proto.optional_values_size() > 0);
  if (foreign || kinds > 1) fail_form(ValueForm::kSequence);
  if (proto.map_values_size() > 0 || proto.sparse_tensor_values_size() > 0) fail_kind();
  std::vector<Tensor> elements;
  for (const auto& element : proto.tensor_values()) elements.push_back(tensor_of(element));
  for (const auto& element : proto.sequence_values()) elements.push_back(value_of(element, depth + 1));
  for (const auto& element : proto.optional_values()) elements.push_back(value_of(element, depth + 1));
  return Tensor::of_sequence(std::move(elements));
}

Tensor value_of(const onnx::OptionalProto& proto, int depth) {
  if (!proto.unknown_fields().empty() || depth > kMostDepth) fail_form(ValueForm::kOptional);
  if (proto.has_map_value() || proto.has_sparse_tensor_value()) fail_kind();
  if (proto.has_tensor_value()) return tensor_of(proto.tensor_value());
  if (proto.has_sequence_value()) return value_of(proto.sequence_value(), depth + 1);
  if (proto.has_optional_value()) return value_of(proto.optional_value(), depth + 1);
  return Tensor::empty_optional();
}

template <class Proto>
Proto parsed(std::span<const std::byte> bytes, std::string_view what) {
  constexpr size_t kMostBytes = 0x7FFFFFFF;  // protobuf's limit
  Proto proto;
  if (bytes.empty() || bytes.size() > kMostBytes ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    throw Error(ErrorKind::kData, "not an ONNX {}", what);
  }
  return proto;
}

onnx::TensorProto unnamed(const Tensor& value) {
  onnx::TensorProto proto = tensor_proto("", to_layout(value, Layout::kPlain));
  proto.clear_name();
  return proto;
}

void fill(onnx::OptionalProto& proto, const Tensor& value);

void fill(onnx::SequenceProto& proto, const Tensor& value) {
  const std::vector<Tensor>& elements = value.sequence();
  // The elements of each kind stand in a list of their own: where one is an empty optional, all are optionals.
  const bool optionals = std::any_of(elements.begin(), elements.end(),
                                     [](const Tensor& element) { return element.type() == DataType::kEmptyOptional; });
  proto.set_elem_type(optionals ? onnx::SequenceProto::OPTIONAL : onnx::SequenceProto::TENSOR);
  for (const Tensor& element : elements) {
    if (optionals) {
      fill(*proto.add_optional_values(), element);
    } else if (element.type() == DataType::kSequence) {
      proto.set_elem_type(onnx::SequenceProto::SEQUENCE);
      fill(*proto.add_sequence_values(), element);
    } else {
      *proto.add_tensor_values() = unnamed(element);
    }
  }
}

void fill(onnx::MapProto& proto, const Tensor& keys, const Tensor& values) {
  proto.set_key_type(static_cast<int32_t>(keys.type()));
  if (keys.type() == DataType::kString) {
    for (const std::string& key : keys.strings()) proto.add_string_keys(key);
  } else {
    for (const int64_t key : keys.data<int64_t>()) proto.add_keys(key);
  }
  proto.mutable_values()->set_elem_type(onnx::SequenceProto::TENSOR);
  for (const float value : values.data<float>()) {
    *proto.mutable_values()->add_tensor_values() = unnamed(Tensor::scalar(value));
  }
}

void fill(onnx::OptionalProto& proto, const Tensor& value) {
  if (value.type() == DataType::kEmptyOptional) {
    proto.set_elem_type(onnx::OptionalProto::UNDEFINED);
  } else if (value.type() == DataType::kSequence) {
    proto.set_elem_type(onnx::OptionalProto::SEQUENCE);
    fill(*proto.mutable_sequence_value(), value);
  } else {
    proto.set_elem_type(onnx::OptionalProto::TENSOR);
    *proto.mutable_tensor_value() = unnamed(value);
  }
}

}  // namespace

DeclaredValue declared_value(const onnx::TypeProto& type) {
  DeclaredValue declared;
  const onnx::TypeProto* inner = &type;
  while (!inner->has_tensor_type()) {
    const bool outermost = inner == &type;
    if (inner->has_sequence_type()) {
      const bool of_maps = inner->sequence_type().elem_type().has_map_type();
      if (outermost) declared.form = of_maps ? ValueForm::kMaps : ValueForm::kSequence;
      declared.of_sequences |= !outermost;
      inner = &inner->sequence_type().elem_type();
    } else if (inner->has_optional_type()) {
      if (outermost) declared.form = ValueForm::kOptional;
      inner = &inner->optional_type().elem_type();
    } else {
      return declared;
    }
  }
  declared.type = static_cast<DataType>(inner->tensor_type().elem_type());
  const bool one_tensor = declared.form != ValueForm::kSequence && !declared.of_sequences;
  if (!one_tensor || !inner->tensor_type().has_shape()) return declared;
  declared.shape.emplace();
  for (const auto& dimension : inner->tensor_type().shape().dim()) {
    declared.shape->push_back(dimension.has_dim_value() ? dimension.dim_value() : -1);
  }
  return declared;
}

NamedValue parse_value(std::span<const std::byte> bytes, ValueForm form) {
  if (form == ValueForm::kSequence) {
    const auto proto = parsed<onnx::SequenceProto>(bytes, "sequence");
    return {proto.name(), value_of(proto, 0)};
  }
  if (form == ValueForm::kOptional) {
    const auto proto = parsed<onnx::OptionalProto>(bytes, "optional");
    return {proto.name(), value_of(proto, 0)};
  }
  const auto proto = parsed<onnx::TensorProto>(bytes, "tensor");
  return {proto.name(), tensor_of(proto)};
}

std::string value_bytes(std::string_view name, const Tensor& value, ValueForm form) {
  if (form == ValueForm::kTensor) return tensor_proto(name, to_layout(value, Layout::kPlain)).SerializeAsString();
  if (form == ValueForm::kSequence) {
    onnx::SequenceProto proto;
    proto.set_name(std::string(name));
    fill(proto, value);
    return proto.SerializeAsString();
  }
  if (form == ValueForm::kMaps) {
    onnx::SequenceProto proto;
    proto.set_name(std::string(name));
    proto.set_elem_type(onnx::SequenceProto::MAP);
    for (const Tensor& map : value.sequence()) fill(*proto.add_map_values(), map.sequence()[0], map.sequence()[1]);
    return proto.SerializeAsString();
  }
  onnx::OptionalProto proto;
  proto.set_name(std::string(name));
  fill(proto, value);
  return proto.SerializeAsString();
}

}  // namespace narrow::graph
