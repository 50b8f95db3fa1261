#include "lib/graph/local_functions.h"

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/inference.h"
#include "lib/graph/schemas.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
using Key = std::tuple<std::string, std::string, std::string>;  // domain, name, overload
using Names = std::set<std::string>;

Key key_of(const onnx::FunctionProto& function) {
  return {function.domain(), function.name(), function.overload()};
}
Key key_of(const onnx::NodeProto& node) {
  return {node.domain(), node.op_type(), node.overload()};
}

/// ONNX's inliner knows the attributes that a call gives. What a call leaves out has the function's default, and an
/// attribute of a call that stands for one that the call around it leaves out is left out too: nodes of the body would
/// fall back on their operators' own defaults.
class DefaultsGiver {
 public:
  explicit DefaultsGiver(onnx::ModelProto& proto) : proto_(proto) {
    for (const onnx::FunctionProto& function : proto.functions()) functions_.emplace(key_of(function), function);
  }

  void give_all() {
    const bool none = std::all_of(functions_.begin(), functions_.end(),
                                  [](const auto& entry) { return entry.second.attribute_proto_size() == 0; });
    if (none) return;
    give(*proto_.mutable_graph()->mutable_node());
    const int count = proto_.functions_size();  // without those that are added, which are complete
    for (int i = 0; i < count; ++i) give(*proto_.mutable_functions(i)->mutable_node());
    for (onnx::FunctionProto& variant : variants_) proto_.add_functions()->Swap(&variant);
  }

 private:
  void give(Nodes& nodes) {
    for_each_mutable_node(nodes, [&](onnx::NodeProto& node) {
      const auto found = functions_.find(key_of(node));
      if (found != functions_.end()) complete(node, found->second);
    });
  }

  void complete(onnx::NodeProto& call, const onnx::FunctionProto& function) {
    for (const onnx::AttributeProto& usual : function.attribute_proto()) {
      if (find_attribute(call, usual.name()) == nullptr) *call.add_attribute() = usual;
    }
    Names omitted;
    for (const std::string& name : function.attribute()) {
      if (find_attribute(call, name) == nullptr) omitted.insert(name);
    }
    if (passes_on(function, omitted)) call.set_op_type(without(function, omitted));
  }

  /// True if a call inside the function is given one of its attributes.
  bool passes_on(const onnx::FunctionProto& function, const Names& attributes) const {
    bool passes = false;
    for_each_node(function.node(), [&](const onnx::NodeProto& node) {
      if (!functions_.contains(key_of(node))) return;
      for (const onnx::AttributeProto& own : node.attribute()) passes |= attributes.contains(own.ref_attr_name());
    });
    return passes;
  }

  /// The name of the function for calls that leave these attributes out.
  std::string without(const onnx::FunctionProto& function, const Names& omitted) {
    std::string& name = names_[{key_of(function), omitted}];
    if (!name.empty()) return name;
    name = function.name();
    while (functions_.contains({function.domain(), name, function.overload()}) || made_.contains(name)) name += '_';
    made_.insert(name);
    onnx::FunctionProto variant = function;
    variant.set_name(name);
    for_each_mutable_node(*variant.mutable_node(), [&](onnx::NodeProto& node) {
      auto& attributes = *node.mutable_attribute();
      const auto end = std::remove_if(attributes.begin(), attributes.end(), [&](const onnx::AttributeProto& own) {
        return omitted.contains(own.ref_attr_name());
      });
      attributes.erase(end, attributes.end());
    });
    std::string result = name;
    give(*variant.mutable_node());
    variants_.push_back(std::move(variant));
    return result;
  }

  onnx::ModelProto& proto_;
  std::map<Key, onnx::FunctionProto> functions_;  // copies: bodies are changed on the way
  std::map<std::pair<Key, Names>, std::string> names_;
  std::set<std::string> made_;
  std::vector<onnx::FunctionProto> variants_;
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

void check_calls(const onnx::ModelProto& proto) {
  std::map<Key, const onnx::FunctionProto*> functions;
  for (const onnx::FunctionProto& function : proto.functions()) functions.emplace(key_of(function), &function);
  const auto check = [&](const onnx::NodeProto& node) {
    const auto found = functions.find(key_of(node));
    if (found == functions.end()) return;
    const onnx::FunctionProto& function = *found->second;
    const auto refuse_more = [&](int given, int declared, const char* what) {
      if (given <= declared) return;
      throw Error(ErrorKind::kModel, "node '{}' ({}): {} {}, but its function has {}", node_label(node), node.op_type(),
                  given, what, declared);
    };
    refuse_more(node.input_size(), function.input_size(), "inputs");
    refuse_more(node.output_size(), function.output_size(), "outputs");
  };
  for_each_node(proto.graph(), check);
  for (const onnx::FunctionProto& function : proto.functions()) for_each_node(function.node(), check);
}

void inline_functions(onnx::ModelProto& proto) {
  if (proto.functions_size() == 0) return;
  check_calls(proto);
  DefaultsGiver(proto).give_all();
  import_domains(proto);
  try {
    onnx::inliner::InlineLocalFunctions(proto, /*convert_version=*/true);
  } catch (const std::runtime_error& error) {
    throw Error(ErrorKind::kModel, "functions can not be put in place of their calls: {}", one_line(error.what()));
  }
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
  infer_shapes(inlined.mutable_proto(), schemas(), options);
  return inlined;
}

}  // namespace narrow::graph
