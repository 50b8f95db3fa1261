// Values as ONNX's test data keep them, one a file: TensorProto, SequenceProto, OptionalProto.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::graph {

/// Which of these a value is stored as: its bytes do not tell. kMaps is a sequence of maps; each map is a sequence of
/// two tensors, its keys and its values.
enum class ValueForm { kTensor, kSequence, kOptional, kMaps };

/// What a model declares of an input or output, with what wraps the tensors inside taken off.
struct DeclaredValue {
  ValueForm form = ValueForm::kTensor;
  bool of_sequences = false;                  // of a sequence or optional: what is inside are sequences
  DataType type = DataType::kUndefined;       // of the elements of the tensors inside
  std::optional<Shape> shape = std::nullopt;  // of a tensor, or of an optional's tensor; -1: free
};

DeclaredValue declared_value(const onnx::TypeProto& type);

struct NamedValue {
  std::string name;  // "" if the bytes tell none
  Tensor value;
};

/// Throws Error(kData) saying what is wrong: not such a proto, elements that do not fit their shapes, tensors in other
/// files. Maps, which no input is, and sparse tensors are Error(kUnsupported).
NamedValue parse_value(std::span<const std::byte> bytes, ValueForm form);

/// The bytes of such a file. An optional with a value is given as that value.
std::string value_bytes(std::string_view name, const Tensor& value, ValueForm form);

}  // namespace narrow::graph
