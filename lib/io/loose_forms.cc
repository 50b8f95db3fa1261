#include "lib/io/loose_forms.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <string>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/schemas.h"
#include "lib/graph/traverse.h"

namespace narrow::io {
namespace {

/// Row-major offset of the entry: indices are offsets themselves (rank 1), or one coordinate for each axis (rank 2).
int64_t offset_of(std::span<const int64_t> indices, int64_t entry, const Shape& shape, bool coordinates) {
  if (!coordinates) return indices[static_cast<size_t>(entry)];
  const size_t rank = shape.size();
  int64_t offset = 0;
  for (size_t axis = 0; axis < rank; ++axis) {
    offset = offset * shape[axis] + indices[static_cast<size_t>(entry) * rank + axis];
  }
  return offset;
}

onnx::TensorProto dense_tensor(const graph::Model& model, const onnx::SparseTensorProto& sparse) {
  const std::string& name = sparse.values().name();
  const Tensor values = model.tensor(sparse.values());
  const Tensor indices = model.tensor(sparse.indices());
  const Shape shape(sparse.dims().begin(), sparse.dims().end());
  const int bits = data_type_bits(values.type());
  const int64_t count = element_count(shape);
  if (bits < 8) {
    throw Error(ErrorKind::kUnsupported, "sparse tensor '{}': elements of type {} are not supported", name,
                data_type_name(values.type()));
  }
  const size_t width = static_cast<size_t>(bits) / 8;
  if (storage_bytes(values.type(), count) > kLargestDense) {
    throw Error(ErrorKind::kUnsupported, "sparse tensor '{}' of shape {} takes {} bytes when dense, more than {}", name,
                shape_text(shape), storage_bytes(values.type(), count), kLargestDense);
  }
  Tensor dense(values.type(), shape);
  std::byte* target = dense.mutable_bytes();
  if (count > 0) std::memset(target, 0, dense.byte_size());
  for (int64_t entry = 0; entry < values.size(); ++entry) {
    const int64_t at = offset_of(indices.data<int64_t>(), entry, shape, indices.rank() == 2);
    ensure(at >= 0 && at < count, "the checker saw every index inside the shape");
    std::memcpy(target + static_cast<size_t>(at) * width, values.bytes() + static_cast<size_t>(entry) * width, width);
  }
  return graph::tensor_proto(name, dense);
}

void densify_graph(const graph::Model& model, onnx::GraphProto& graph) {
  for (const onnx::SparseTensorProto& sparse : graph.sparse_initializer()) {
    *graph.add_initializer() = dense_tensor(model, sparse);
  }
  graph.clear_sparse_initializer();
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) densify_graph(model, *attribute.mutable_g());
      for (onnx::GraphProto& subgraph : *attribute.mutable_graphs()) densify_graph(model, subgraph);
      if (node.op_type() != "Constant" || attribute.name() != "sparse_value") continue;
      *attribute.mutable_t() = in_context(fmt::format("node '{}'", graph::node_label(node)),
                                          [&] { return dense_tensor(model, attribute.sparse_tensor()); });
      attribute.set_name("value");
      attribute.set_type(onnx::AttributeProto::TENSOR);
      attribute.clear_sparse_tensor();
    }
  }
}

/// ONNX's own operators have scales for each channel, 8 bits and int32 from 13 on, other widths from 21 on.
bool has_own_form(const onnx::NodeProto& node, const std::map<std::string, int>& constants, int opset) {
  const bool linear = node.op_type() == "QuantizeLinear" || node.op_type() == "DequantizeLinear";
  if (!linear || node.domain() != "com.microsoft" || opset < 13) return false;
  const bool plain = std::all_of(node.attribute().begin(), node.attribute().end(),
                                 [](const onnx::AttributeProto& attribute) { return attribute.name() == "axis"; });
  const bool tells = node.input_size() == 3 && !node.input(2).empty();
  const auto type = constants.find(tells ? node.input(2) : node.input(0));
  if (!plain || (tells && type == constants.end())) return false;
  if (type == constants.end() && node.op_type() == "DequantizeLinear") return opset >= 21;  // of a type not known here
  const int width = type == constants.end() ? onnx::TensorProto::UINT8 : type->second;
  return opset >= 21 || width == onnx::TensorProto::UINT8 || width == onnx::TensorProto::INT8 ||
         (width == onnx::TensorProto::INT32 && node.op_type() == "DequantizeLinear");
}

void adopt_in_graph(onnx::GraphProto& graph, std::map<std::string, int> constants, int opset) {
  for (const onnx::TensorProto& tensor : graph.initializer()) constants[tensor.name()] = tensor.data_type();
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    const bool holds_tensor = node.op_type() == "Constant" && node.attribute_size() == 1 && node.attribute(0).has_t();
    if (holds_tensor) constants[node.output(0)] = node.attribute(0).t().data_type();
    if (has_own_form(node, constants, opset)) node.clear_domain();
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) adopt_in_graph(*attribute.mutable_g(), constants, opset);
      for (onnx::GraphProto& subgraph : *attribute.mutable_graphs()) adopt_in_graph(subgraph, constants, opset);
    }
  }
}

}  // namespace

StandInTypes::StandInTypes(onnx::GraphProto& graph) {
  for (const onnx::ValueInfoProto& input : graph.input()) {
    if (!input.has_type()) throw Error(ErrorKind::kModel, "input '{}' has no type", input.name());
  }
  for (auto* values : {graph.mutable_input(), graph.mutable_output()}) {
    for (onnx::ValueInfoProto& value : *values) {
      if (!value.has_type()) {
        untyped_.push_back(&value);
        value.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
      }
      if (!value.type().has_tensor_type() || value.type().tensor_type().has_shape()) continue;
      unshaped_.push_back(&value);
      value.mutable_type()->mutable_tensor_type()->mutable_shape();
    }
  }
}

StandInTypes::~StandInTypes() {
  for (onnx::ValueInfoProto* value : unshaped_) value->mutable_type()->mutable_tensor_type()->clear_shape();
  for (onnx::ValueInfoProto* value : untyped_) value->clear_type();
}

void spell_own_domain(onnx::ModelProto& proto) {
  const auto spell = [](onnx::NodeProto& node) {
    if (graph::canonical_domain(node.domain()).empty()) node.clear_domain();
  };
  const auto merge = [](auto& imports) {
    for (int i = imports.size() - 1; i > 0; --i) {
      const bool again = std::any_of(imports.begin(), imports.begin() + i, [&](const onnx::OperatorSetIdProto& first) {
        return graph::canonical_domain(first.domain()) == graph::canonical_domain(imports[i].domain()) &&
               first.version() == imports[i].version();
      });
      if (again) imports.DeleteSubrange(i, 1);
    }
  };
  graph::for_each_mutable_node(*proto.mutable_graph(), spell);
  merge(*proto.mutable_opset_import());
  for (onnx::FunctionProto& function : *proto.mutable_functions()) {
    for (onnx::NodeProto& node : *function.mutable_node()) {
      spell(node);
      for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
        if (attribute.has_g()) graph::for_each_mutable_node(*attribute.mutable_g(), spell);
      }
    }
    merge(*function.mutable_opset_import());
  }
}

void densify(graph::Model& model) {
  densify_graph(model, model.mutable_graph());
}

void adopt_linear_operators(graph::Model& model) {
  adopt_in_graph(model.mutable_graph(), {}, model.opset());
}

void spell_defaults(graph::Model& model) {
  const auto spell = [](onnx::NodeProto& node, const auto& opset_of) {
    const onnx::OpSchema* schema = graph::find_schema(node, opset_of(node.domain()));
    if (schema == nullptr || !schema->HasFunction() || schema->has_type_and_shape_inference_function()) return;
    for (const auto& [name, attribute] : schema->attributes()) {
      const bool has_default = attribute.default_value.type() != onnx::AttributeProto::UNDEFINED;
      if (has_default && graph::find_attribute(node, name) == nullptr) {
        *node.add_attribute() = attribute.default_value;
      }
    }
  };
  const auto of_model = [&](const std::string& domain) { return model.opset(domain); };
  graph::for_each_mutable_node(model.mutable_graph(), [&](onnx::NodeProto& node) { spell(node, of_model); });
  for (onnx::FunctionProto& function : *model.mutable_proto().mutable_functions()) {
    const auto of_function = [&](const std::string& domain) {
      return graph::imported_version(function.opset_import(), domain);
    };
    graph::for_each_mutable_node(*function.mutable_node(), [&](onnx::NodeProto& node) { spell(node, of_function); });
  }
}

}  // namespace narrow::io
