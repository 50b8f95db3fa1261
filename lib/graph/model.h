// A model: the ModelProto itself, so that fields we do not know survive, and access to its tensors.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "lib/graph/external_data.h"
#include "lib/graph/onnx_proto.h"
#include "lib/tensor/tensor.h"

namespace narrow::graph {

using OpsetImports = google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto>;
/// Model::opset() of a model's or a function's imports.
int imported_version(const OpsetImports& imports, std::string_view domain);

class Model {
 public:
  explicit Model(onnx::ModelProto proto, std::shared_ptr<const ExternalData> external = nullptr)
      : proto_(std::move(proto)), external_(std::move(external)) {}

  const onnx::ModelProto& proto() const { return proto_; }
  onnx::ModelProto& mutable_proto() { return proto_; }
  const onnx::GraphProto& graph() const { return proto_.graph(); }
  onnx::GraphProto& mutable_graph() { return *proto_.mutable_graph(); }

  /// Imported version of an operator domain ("" is ONNX's own); 0 if the model does not import it.
  int opset(std::string_view domain = "") const;

  /// Elements of an initializer or constant, wherever they are stored (raw, typed fields, external file).
  /// Throws Error(kModel) naming the tensor if they do not fit its shape and type.
  Tensor tensor(const onnx::TensorProto& proto) const;

  /// Names of the values whose types the model's file gives, in all its graphs: what is inferred besides is not saved.
  /// nullptr for a model made in memory: all that are there are.
  const std::set<std::string>* declared() const { return declared_.get(); }
  /// Takes those that are there now.
  void declare_values();

  /// Lets weights that lie in mapped files leave memory until they are read again: between passes over large models.
  void release_weights() const;

 private:
  onnx::ModelProto proto_;
  std::shared_ptr<const ExternalData> external_;
  std::shared_ptr<const std::set<std::string>> declared_;
};

/// The same for a tensor known to be stored inside the proto.
Tensor embedded_tensor(const onnx::TensorProto& proto);

/// A TensorProto with raw data.
onnx::TensorProto tensor_proto(std::string_view name, const Tensor& tensor);

/// How messages call a node: its name, or its first output if it has none.
std::string node_label(const onnx::NodeProto& node);

/// "" for ONNX's own domain, which files also spell "ai.onnx".
std::string_view canonical_domain(std::string_view domain);

}  // namespace narrow::graph
