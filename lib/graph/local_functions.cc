#include "lib/graph/local_functions.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "lib/base/error.h"
#include "lib/graph/onnx_api.h"
#include "lib/graph/schemas.h"

namespace narrow::graph {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;

/// ONNX's inliner knows the attributes that a call gives, not the defaults of those that it leaves out: nodes of the
/// body would fall back on their operators' own.
class DefaultsGiver {
 public:
  explicit DefaultsGiver(const onnx::ModelProto& proto) {
    for (const onnx::FunctionProto& function : proto.functions()) {
      if (function.attribute_proto_size() > 0) functions_[key(function)] = function;
    }
  }

  bool empty() const { return functions_.empty(); }

  void give(Nodes& nodes) const {
    for (onnx::NodeProto& node : nodes) {
      const auto found = functions_.find(key(node));
      if (found != functions_.end()) complete(node, found->second);
      for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
        if (attribute.has_g()) give(*attribute.mutable_g()->mutable_node());
        for (onnx::GraphProto& body : *attribute.mutable_graphs()) give(*body.mutable_node());
      }
    }
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;

  static Key key(const onnx::FunctionProto& function) {
    return {function.domain(), function.name(), function.overload()};
  }
  static Key key(const onnx::NodeProto& node) { return {node.domain(), node.op_type(), node.overload()}; }

  static void complete(onnx::NodeProto& node, const onnx::FunctionProto& function) {
    for (const onnx::AttributeProto& usual : function.attribute_proto()) {
      const bool given = std::any_of(node.attribute().begin(), node.attribute().end(),
                                     [&](const onnx::AttributeProto& own) { return own.name() == usual.name(); });
      if (!given) *node.add_attribute() = usual;
    }
  }

  std::map<Key, onnx::FunctionProto> functions_;  // copies: bodies are changed on the way
};

/// What the functions' bodies import and the model does not: their nodes will be the model's.
void import_domains(onnx::ModelProto& proto) {
  const std::vector<onnx::FunctionProto> functions(proto.functions().begin(), proto.functions().end());
  for (const onnx::FunctionProto& function : functions) {
    for (const onnx::OperatorSetIdProto& import : function.opset_import()) {
      const auto& own = proto.opset_import();
      const bool known = std::any_of(own.begin(), own.end(), [&](const onnx::OperatorSetIdProto& other) {
        return canonical_domain(other.domain()) == canonical_domain(import.domain());
      });
      if (!known) *proto.add_opset_import() = import;
    }
  }
}

}  // namespace

void inline_functions(onnx::ModelProto& proto) {
  if (proto.functions_size() == 0) return;
  const DefaultsGiver defaults(proto);
  if (!defaults.empty()) {
    defaults.give(*proto.mutable_graph()->mutable_node());
    for (onnx::FunctionProto& function : *proto.mutable_functions()) defaults.give(*function.mutable_node());
  }
  import_domains(proto);
  onnx::inliner::InlineLocalFunctions(proto, /*convert_version=*/true);
  if (proto.functions_size() == 0) return;
  const onnx::FunctionProto& left = proto.functions(0);
  throw Error(
      ErrorKind::kUnsupported,
      "function '{}' of domain '{}' can not be put in place of its calls: it imports another version of a domain "
      "than the model does",
      left.name(), left.domain());
}

std::optional<Model> without_functions(const Model& model) {
  if (model.proto().functions_size() == 0) return std::nullopt;
  Model inlined = model;
  inline_functions(inlined.mutable_proto());
  // Not strict: what the calls were checked against holds, and where less is known less is done.
  const onnx::ShapeInferenceOptions options{/*check_type=*/false, /*strict_mode=*/0, /*data_prop=*/true};
  onnx::shape_inference::InferShapes(inlined.mutable_proto(), &schemas(), options);
  return inlined;
}

}  // namespace narrow::graph
