#include "lib/graph/print.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "lib/base/file.h"
#include "lib/graph/graph_index.h"

namespace narrow::graph {
namespace {

constexpr int64_t kSpelledOut = 8;

std::string type_text(const onnx::TypeProto& type) {
  if (!type.has_tensor_type()) return "?";
  const auto& tensor = type.tensor_type();
  std::string text(data_type_name(static_cast<DataType>(tensor.elem_type())));
  if (!tensor.has_shape()) return text;
  std::vector<std::string> dimensions;
  for (const auto& dimension : tensor.shape().dim()) {
    dimensions.push_back(dimension.has_dim_value()   ? std::to_string(dimension.dim_value())
                         : dimension.has_dim_param() ? dimension.dim_param()
                                                     : "?");
  }
  return fmt::format("{}[{}]", text, fmt::join(dimensions, ","));
}

template <class T>
std::string spell_as(const Tensor& tensor) {
  std::vector<std::string> values;
  for (const T value : tensor.data<T>()) values.push_back(fmt::format("{}", value));
  return fmt::format("{{{}}}", fmt::join(values, ", "));
}

std::string spell(const Tensor& tensor) {
  switch (tensor.type()) {
    case DataType::kFloat32:
      return spell_as<float>(tensor);
    case DataType::kInt8:
      return spell_as<int8_t>(tensor);
    case DataType::kUint8:
      return spell_as<uint8_t>(tensor);
    case DataType::kInt32:
      return spell_as<int32_t>(tensor);
    case DataType::kInt64:
      return spell_as<int64_t>(tensor);
    default:
      return "";
  }
}

std::string tensor_text(const Tensor& tensor) {
  std::string text = fmt::format("{}{}", data_type_name(tensor.type()), shape_text(tensor.shape()));
  const std::string values = tensor.size() <= kSpelledOut ? spell(tensor) : "";
  if (!values.empty()) return text + " " + values;
  const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes()), tensor.byte_size());
  return text + " sha256:" + sha256(bytes).substr(0, 8);
}

class Printer {
 public:
  explicit Printer(const Model& model) : model_(model) {}

  std::string text(const onnx::GraphProto& graph, int indent) const {
    const std::string margin(static_cast<size_t>(indent), ' ');
    std::string out;
    for (const auto& input : graph.input())
      out += fmt::format("{}input {}: {}\n", margin, input.name(), type_text(input.type()));
    for (const auto& initializer : graph.initializer()) {
      out += fmt::format("{}constant {} = {}\n", margin, initializer.name(), tensor_text(model_.tensor(initializer)));
    }
    for (const onnx::NodeProto& node : graph.node()) out += node_text(node, indent);
    for (const auto& output : graph.output()) {
      out += fmt::format("{}output {}: {}\n", margin, output.name(), type_text(output.type()));
    }
    return out;
  }

 private:
  std::string node_text(const onnx::NodeProto& node, int indent) const {
    const std::string margin(static_cast<size_t>(indent), ' ');
    const std::string domain = canonical_domain(node.domain()).empty() ? "" : node.domain() + ".";
    std::vector<const onnx::AttributeProto*> attributes;
    for (const auto& attribute : node.attribute()) attributes.push_back(&attribute);
    std::sort(attributes.begin(), attributes.end(), [](const auto* a, const auto* b) { return a->name() < b->name(); });
    std::vector<std::string> plain;
    std::string bodies;
    for (const auto* attribute : attributes) {
      if (attribute->has_g()) {
        bodies += fmt::format("{}  {}:\n{}", margin, attribute->name(), text(attribute->g(), indent + 4));
      } else {
        plain.push_back(attribute_text(*attribute));
      }
    }
    const std::string settings = plain.empty() ? "" : fmt::format(" <{}>", fmt::join(plain, ", "));
    const std::string name = node.name().empty() ? "" : fmt::format("  # {}", node.name());
    return fmt::format("{}{} = {}{}{} ({}){}\n{}", margin, fmt::join(node.output(), ", "), domain, node.op_type(),
                       settings, fmt::join(node.input(), ", "), name, bodies);
  }

  std::string attribute_text(const onnx::AttributeProto& attribute) const {
    const std::string& name = attribute.name();
    switch (attribute.type()) {
      case onnx::AttributeProto::INT:
        return fmt::format("{}={}", name, attribute.i());
      case onnx::AttributeProto::FLOAT:
        return fmt::format("{}={}", name, attribute.f());
      case onnx::AttributeProto::STRING:
        return fmt::format("{}=\"{}\"", name, attribute.s());
      case onnx::AttributeProto::INTS:
        return fmt::format("{}=[{}]", name, fmt::join(attribute.ints(), ","));
      case onnx::AttributeProto::FLOATS:
        return fmt::format("{}=[{}]", name, fmt::join(attribute.floats(), ","));
      case onnx::AttributeProto::TENSOR:
        return fmt::format("{}={}", name, tensor_text(model_.tensor(attribute.t())));
      default:
        return fmt::format("{}=sha256:{}", name, sha256(attribute.SerializeAsString()).substr(0, 8));
    }
  }

  const Model& model_;
};

}  // namespace

std::string print(const Model& model) {
  std::string out = fmt::format("ir {}", model.proto().ir_version());
  for (const auto& import : model.proto().opset_import()) {
    out +=
        fmt::format(", {} {}", canonical_domain(import.domain()).empty() ? "onnx" : import.domain(), import.version());
  }
  return out + "\n" + Printer(model).text(model.graph(), 0);
}

}  // namespace narrow::graph
