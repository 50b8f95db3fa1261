#include "lib/graph/attributes.h"

#include "lib/base/error.h"
#include "lib/graph/model.h"

namespace narrow::graph {
namespace {

const onnx::AttributeProto* find_typed(const onnx::NodeProto& node, std::string_view name,
                                       onnx::AttributeProto::AttributeType type) {
  const onnx::AttributeProto* attribute = find_attribute(node, name);
  if (attribute == nullptr) return nullptr;
  // Files older than IR version 3 leave the type out.
  if (attribute->type() != type && attribute->type() != onnx::AttributeProto::UNDEFINED) {
    throw Error(ErrorKind::kModel, "node '{}' ({}): attribute '{}' has the wrong type", node_label(node),
                node.op_type(), name);
  }
  return attribute;
}

onnx::AttributeProto& make_attribute(onnx::NodeProto& node, std::string_view name,
                                     onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto* target = nullptr;
  for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
    if (attribute.name() == name) target = &attribute;
  }
  if (target == nullptr) target = node.add_attribute();
  target->Clear();
  target->set_name(std::string(name));
  target->set_type(type);
  return *target;
}

}  // namespace

const onnx::AttributeProto* find_attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

int64_t int_attribute(const onnx::NodeProto& node, std::string_view name, int64_t otherwise) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::INT);
  return attribute == nullptr ? otherwise : attribute->i();
}

float float_attribute(const onnx::NodeProto& node, std::string_view name, float otherwise) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::FLOAT);
  return attribute == nullptr ? otherwise : attribute->f();
}

std::string string_attribute(const onnx::NodeProto& node, std::string_view name, std::string_view otherwise) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::STRING);
  return attribute == nullptr ? std::string(otherwise) : attribute->s();
}

std::vector<int64_t> ints_attribute(const onnx::NodeProto& node, std::string_view name,
                                    std::vector<int64_t> otherwise) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::INTS);
  if (attribute == nullptr) return otherwise;
  return {attribute->ints().begin(), attribute->ints().end()};
}

std::vector<float> floats_attribute(const onnx::NodeProto& node, std::string_view name) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::FLOATS);
  if (attribute == nullptr) return {};
  return {attribute->floats().begin(), attribute->floats().end()};
}

std::vector<std::string> strings_attribute(const onnx::NodeProto& node, std::string_view name) {
  const auto* attribute = find_typed(node, name, onnx::AttributeProto::STRINGS);
  if (attribute == nullptr) return {};
  return {attribute->strings().begin(), attribute->strings().end()};
}

void set_int_attribute(onnx::NodeProto& node, std::string_view name, int64_t value) {
  make_attribute(node, name, onnx::AttributeProto::INT).set_i(value);
}

void set_float_attribute(onnx::NodeProto& node, std::string_view name, float value) {
  make_attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
}

void set_ints_attribute(onnx::NodeProto& node, std::string_view name, const std::vector<int64_t>& values) {
  onnx::AttributeProto& attribute = make_attribute(node, name, onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

}  // namespace narrow::graph
