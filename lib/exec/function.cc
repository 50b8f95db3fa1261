#include "lib/exec/function.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>

#include "lib/base/error.h"
#include "lib/exec/scope.h"
#include "lib/graph/schemas.h"

namespace narrow::exec {
namespace {

// Types as far as a body is made for them: ranks, and dimensions only where they are given.
std::vector<onnx::TypeProto> type_protos(const std::vector<graph::ValueType>& types) {
  std::vector<onnx::TypeProto> protos(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].type == DataType::kUndefined || types[i].type == DataType::kEmptyOptional) continue;
    if (types[i].type == DataType::kSequence) {
      protos[i].mutable_sequence_type();
      continue;
    }
    onnx::TypeProto::Tensor& tensor = *protos[i].mutable_tensor_type();
    tensor.set_elem_type(static_cast<int32_t>(types[i].type));
    if (!types[i].shape) continue;
    tensor.mutable_shape();
    for (const int64_t dimension : *types[i].shape) {
      auto* target = tensor.mutable_shape()->add_dim();
      if (dimension >= 0) target->set_dim_value(dimension);
    }
  }
  return protos;
}

// Nullopt where ONNX makes no body for such types.
std::optional<onnx::FunctionProto> build_body(const onnx::NodeProto& node, int opset,
                                              const std::vector<graph::ValueType>& types) {
  const onnx::OpSchema& schema = *graph::find_schema(node, opset);
  if (schema.HasContextDependentFunction()) {
    onnx::FunctionProto body;
    const onnx::FunctionBodyBuildContextImpl context(node, type_protos(types));
    try {
      if (schema.BuildContextDependentFunction(context, body, opset)) return body;
    } catch (const std::exception& error) {
      throw Error(ErrorKind::kUnsupported, "ONNX makes no function body of it: {}", error.what());
    }
  }
  // Of the newest version that is not newer than the model's; its own imports say what its nodes mean.
  if (const onnx::FunctionProto* body = schema.GetFunction(opset, /*validate=*/false)) return *body;
  return std::nullopt;
}

// Puts the calling node's attributes in place of references to them; one that the node lacks and the schema has no
// default for is left out, as on the node itself.
class AttributeBinder {
 public:
  AttributeBinder(const onnx::NodeProto& node, const onnx::OpSchema& schema) {
    for (const auto& [name, attribute] : schema.attributes()) {
      if (attribute.default_value.type() != onnx::AttributeProto::UNDEFINED) values_[name] = &attribute.default_value;
    }
    for (const onnx::AttributeProto& attribute : node.attribute()) values_[attribute.name()] = &attribute;
  }

  void bind(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes) const {
    for (onnx::NodeProto& node : nodes) bind_node(node);
  }

 private:
  void bind_node(onnx::NodeProto& node) const {
    google::protobuf::RepeatedPtrField<onnx::AttributeProto> bound;
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.ref_attr_name().empty()) {
        if (attribute.has_g()) bind(*attribute.mutable_g()->mutable_node());
        for (onnx::GraphProto& graph : *attribute.mutable_graphs()) bind(*graph.mutable_node());
        bound.Add()->Swap(&attribute);
        continue;
      }
      const auto value = values_.find(attribute.ref_attr_name());
      if (value == values_.end()) continue;
      onnx::AttributeProto& target = *bound.Add();
      target = *value->second;
      target.set_name(attribute.name());
    }
    node.mutable_attribute()->Swap(&bound);
  }

  std::map<std::string, const onnx::AttributeProto*> values_;
};

void clear_reads(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, const std::set<std::string>& absent) {
  for (onnx::NodeProto& node : nodes) {
    for (std::string& input : *node.mutable_input()) {
      if (absent.contains(input)) input.clear();
    }
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) clear_reads(*attribute.mutable_g()->mutable_node(), absent);
    }
  }
}

bool present(const onnx::NodeProto& node, int input) {
  return input < node.input_size() && !node.input(input).empty();
}

// The body as a model of its own: inputs are those the node has, outputs those it wants, under their formal names.
graph::Model model_of(const onnx::NodeProto& node, int opset, onnx::FunctionProto body,
                      const std::vector<graph::ValueType>& types, int onnx_opset) {
  if (node.input_size() > body.input_size() || node.output_size() > body.output_size()) {
    throw Error(ErrorKind::kModel, "{} inputs and {} outputs, its function has {} and {}", node.input_size(),
                node.output_size(), body.input_size(), body.output_size());
  }
  AttributeBinder(node, *graph::find_schema(node, opset)).bind(*body.mutable_node());
  onnx::ModelProto proto;
  proto.set_ir_version(onnx::IR_VERSION);
  *proto.mutable_opset_import() = body.opset_import();
  const bool imports_onnx = std::any_of(body.opset_import().begin(), body.opset_import().end(), [](const auto& import) {
    return graph::canonical_domain(import.domain()).empty();
  });
  if (!imports_onnx) proto.add_opset_import()->set_version(onnx_opset);
  onnx::GraphProto& graph = *proto.mutable_graph();
  std::set<std::string> absent;
  const std::vector<onnx::TypeProto> protos = type_protos(types);
  for (int i = 0; i < body.input_size(); ++i) {
    if (!present(node, i)) {
      absent.insert(body.input(i));
      continue;
    }
    onnx::ValueInfoProto& input = *graph.add_input();
    input.set_name(body.input(i));
    *input.mutable_type() = protos[static_cast<size_t>(i)];
  }
  clear_reads(*body.mutable_node(), absent);
  for (int i = 0; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) graph.add_output()->set_name(body.output(i));
  }
  graph.mutable_node()->Swap(body.mutable_node());
  return graph::Model(std::move(proto));
}

using Types = std::vector<graph::ValueType>;

bool same(const Types& left, const Types& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const auto& a, const auto& b) { return a.type == b.type && a.shape == b.shape; });
}

Types without_dimensions(Types types, const std::vector<Tensor>& constants) {
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].shape && !constants[i].defined()) std::fill(types[i].shape->begin(), types[i].shape->end(), -1);
  }
  return types;
}

class FunctionKernel final : public Kernel {
 public:
  explicit FunctionKernel(const KernelRequest& request)
      : node_(*request.node),
        opset_(request.opset),
        onnx_opset_(request.model == nullptr ? 0 : request.model->opset()) {
    Types types;
    bool known = true;
    for (int i = 0; i < node_.input_size(); ++i) {
      const Tensor* constant = present(node_, i) && request.constant ? request.constant(i) : nullptr;
      constants_.push_back(constant == nullptr ? Tensor() : *constant);
      types.push_back(constant != nullptr                 ? graph::ValueType{constant->type(), constant->shape()}
                      : present(node_, i) && request.type ? request.type(i)
                                                          : graph::ValueType());
      const bool is_typed = types.back().type == DataType::kSequence || types.back().shape.has_value();
      known = known && (!present(node_, i) || is_typed);
    }
    if (known) program_for(types);
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    Types types;
    for (size_t i = 0; i < constants_.size(); ++i) {
      const Tensor& value = constants_[i].defined() ? constants_[i] : inputs[i];
      types.push_back({value.type(), value.shape()});
      if (present(node_, static_cast<int>(i)) && !value.defined()) {
        throw Error(ErrorKind::kModel, "input {} is absent", i);
      }
    }
    const std::shared_ptr<const Program> program = program_for(types);
    std::vector<Tensor> given;
    for (size_t i = 0; i < constants_.size(); ++i) {
      if (present(node_, static_cast<int>(i)) && !constants_[i].defined()) given.push_back(std::move(inputs[i]));
    }
    std::vector<Tensor> results = program->run_inputs(std::move(given), workspace, {});
    size_t next = 0;
    for (int i = 0; i < node_.output_size(); ++i) {
      if (!node_.output(i).empty()) outputs[static_cast<size_t>(i)] = std::move(results[next++]);
    }
  }

  std::string implementation() const override { return "function body"; }

 private:
  static constexpr size_t kMostPrograms = 16;

  // Bodies rarely depend on more than ranks: dimensions are given only where ONNX makes none without them.
  std::shared_ptr<const Program> program_for(const Types& types) const {
    const std::lock_guard lock(mutex_);
    const Types ranks = without_dimensions(types, constants_);
    for (const Types* wanted : {&ranks, &types}) {
      for (const auto& [made_for, program] : programs_) {
        if (same(made_for, *wanted)) return program;
      }
      std::optional<onnx::FunctionProto> body = build_body(node_, opset_, *wanted);
      if (!body) continue;
      if (programs_.size() == kMostPrograms) programs_.erase(programs_.begin());
      programs_.emplace_back(*wanted, compile(std::move(*body), *wanted));
      return programs_.back().second;
    }
    throw Error(ErrorKind::kUnsupported, "there is no kernel for this operator, and ONNX has no body for such inputs");
  }

  std::shared_ptr<const Program> compile(onnx::FunctionProto body, const Types& types) const {
    const std::vector<std::string> names(body.input().begin(), body.input().end());
    const graph::Model model = model_of(node_, opset_, std::move(body), types, onnx_opset_);
    GraphScope scope{.model = &model, .graph = &model.graph(), .known = {}, .captured = {}};
    for (size_t i = 0; i < constants_.size(); ++i) {
      if (constants_[i].defined()) scope.known.emplace(names.at(i), constants_[i]);
    }
    return std::make_shared<const Program>(compile_graph(std::move(scope), {}));
  }

  const onnx::NodeProto node_;
  const int opset_;
  const int onnx_opset_;           // of ONNX's own domain, for bodies that import only theirs
  std::vector<Tensor> constants_;  // by input; undefined where known only at run time
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<Types, std::shared_ptr<const Program>>> programs_;  // oldest first
};

}  // namespace

bool has_function(const onnx::NodeProto& node, int opset) {
  const onnx::OpSchema* schema = graph::find_schema(node, opset);
  return schema != nullptr && (schema->HasFunction() || schema->HasContextDependentFunction());
}

KernelPtr make_function(const KernelRequest& request) {
  return in_context(fmt::format("node '{}' ({})", graph::node_label(*request.node), request.node->op_type()),
                    [&] { return std::make_unique<const FunctionKernel>(request); });
}

}  // namespace narrow::exec
