#include "lib/io/load.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/graph/edit.h"
#include "lib/graph/external_keys.h"
#include "lib/graph/gradient.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/inference.h"
#include "lib/graph/local_functions.h"
#include "lib/graph/schemas.h"
#include "lib/graph/tensor_shape.h"
#include "lib/graph/traverse.h"
#include "lib/io/external_tensors.h"
#include "lib/io/light_parse.h"
#include "lib/io/loose_forms.h"
#include "lib/io/old_opset.h"
#include "lib/io/result_types.h"

namespace narrow::io {
namespace {

bool is_onnx_domain(const std::string& domain) {
  const auto& known = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  return known.contains(domain == "ai.onnx" ? "" : domain);
}

void check_opsets(const graph::Model& model) {
  const auto& known = onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  for (const auto& import : model.proto().opset_import()) {
    const auto found = known.find(std::string(graph::canonical_domain(import.domain())));
    if (found == known.end() || import.version() <= found->second.second) continue;
    throw Error(ErrorKind::kUnsupported, "opset {} of domain '{}' is newer than {}, the newest known", import.version(),
                import.domain().empty() ? "ai.onnx" : import.domain(), found->second.second);
  }
}

bool calls_function(const onnx::ModelProto& proto, const onnx::NodeProto& node) {
  return std::any_of(proto.functions().begin(), proto.functions().end(), [&](const onnx::FunctionProto& function) {
    return function.name() == node.op_type() && function.domain() == node.domain();
  });
}

void check_operators(const graph::Model& model, const onnx::GraphProto& graph) {
  for (const onnx::NodeProto& node : graph.node()) {
    const std::string domain(graph::canonical_domain(node.domain()));
    if (is_onnx_domain(node.domain()) && !calls_function(model.proto(), node)) {
      const int version = model.opset(domain);
      if (graph::find_schema(node, version) == nullptr) {
        throw Error(ErrorKind::kUnsupported, "node '{}': there is no operator '{}' in opset {} of domain '{}'",
                    graph::node_label(node), node.op_type(), version, domain.empty() ? "ai.onnx" : domain);
      }
    }
    graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) { check_operators(model, body); });
  }
}

void run_checker(const onnx::ModelProto& proto, const std::filesystem::path& folder) {
  onnx::checker::CheckerContext context;
  context.set_schema_registry(&graph::checker_schemas());
  context.set_model_dir(folder.empty() ? "." : folder.string());
  // Before version 4 each initializer had to be an input too; files do not keep to it, and runtimes do not ask.
  context.set_ir_version(std::max(4, static_cast<int>(proto.ir_version())));
  std::unordered_map<std::string, int> imports;
  for (const auto& import : proto.opset_import()) imports[import.domain()] = static_cast<int>(import.version());
  context.set_opset_imports(std::move(imports));
  const onnx::checker::LexicalScopeContext scope;
  onnx::checker::check_graph(proto.graph(), context, scope);
  onnx::checker::check_model_local_functions(proto, context, scope);
}

void check_header(const onnx::ModelProto& proto) {
  if (!proto.has_graph()) throw Error(ErrorKind::kModel, "not an ONNX model: it has no graph");
  if (proto.ir_version() < 1 || proto.opset_import_size() == 0) {
    throw Error(ErrorKind::kModel, "IR version {} with {} opset imports: too old, or not an ONNX model",
                proto.ir_version(), proto.opset_import_size());
  }
  if (proto.ir_version() > onnx::IR_VERSION) {
    throw Error(ErrorKind::kUnsupported, "IR version {} is newer than {}, the newest known", proto.ir_version(),
                static_cast<int>(onnx::IR_VERSION));
  }
}

/// Calls visit(Dimension&) for each dimension of a value.
template <class Visit>
void for_each_dimension(onnx::GraphProto& whole, const Visit& visit) {
  graph::for_each_graph(whole, [&](onnx::GraphProto& graph) {
    for (auto* values : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()}) {
      for (onnx::ValueInfoProto& value : *values) {
        if (!value.type().tensor_type().has_shape()) continue;
        for (auto& dimension : *value.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim()) {
          visit(dimension);
        }
      }
    }
  });
}

std::set<std::string> dimension_names(onnx::GraphProto& graph) {
  std::set<std::string> names;
  for_each_dimension(graph, [&](const auto& dimension) {
    if (dimension.has_dim_param()) names.insert(dimension.dim_param());
  });
  return names;
}

/// Inference calls dimensions that it can not know "unk__0" and so on; such a name says nothing, and must not get into
/// the user's files.
void drop_invented_names(onnx::GraphProto& graph, const std::set<std::string>& own) {
  for_each_dimension(graph, [&](auto& dimension) {
    if (dimension.has_dim_param() && dimension.dim_param().starts_with("unk__") &&
        !own.contains(dimension.dim_param())) {
      dimension.clear_dim_param();
    }
  });
}

using Values = google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>;

void forget_shapes(Values& values) {
  for (onnx::ValueInfoProto& value : values) {
    if (value.type().has_tensor_type()) value.mutable_type()->mutable_tensor_type()->clear_shape();
  }
}

/// Declarations of intermediate values, and shapes of what bodies make: inference finds them again.
void forget_declarations(onnx::GraphProto& whole) {
  graph::for_each_graph(whole, [&](onnx::GraphProto& graph) {
    graph.clear_value_info();
    if (&graph != &whole) forget_shapes(*graph.mutable_output());
  });
}

/// Both have as many dimensions, and none where they have different numbers.
bool agree(const onnx::TensorShapeProto& a, const onnx::TensorShapeProto& b) {
  return std::equal(a.dim().begin(), a.dim().end(), b.dim().begin(), b.dim().end(), [](const auto& x, const auto& y) {
    return !x.has_dim_value() || !y.has_dim_value() || x.dim_value() == y.dim_value();
  });
}

/// Puts back what was declared of the outputs, except where it is not what inference found.
void restore_outputs(const Values& declared, onnx::GraphProto& graph) {
  for (int i = 0; i < graph.output_size(); ++i) {
    const auto& before = declared[i].type().tensor_type();
    if (!graph.output(i).type().has_tensor_type()) continue;
    auto& now = *graph.mutable_output(i)->mutable_type()->mutable_tensor_type();
    if (before.has_shape() && (!now.has_shape() || agree(before.shape(), now.shape()))) {
      *now.mutable_shape() = before.shape();
    }
  }
}

/// "" or why shapes do not fit.
std::string inference_error(graph::Model& model) {
  const onnx::ShapeInferenceOptions options{/*check_type=*/true, /*strict_mode=*/1, /*data_prop=*/true};
  const InitializersNeedNotBeInputs lifted(model.mutable_proto());
  try {
    const ResultTypes schemas(model.proto());
    graph::infer_shapes(model.mutable_proto(), schemas, options);
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

/// `why`: what to say if the declared outputs are not all that is wrong.
void infer_without_outputs(graph::Model& model, const std::string& why) {
  const auto declared = model.graph().output();
  forget_shapes(*model.mutable_graph().mutable_output());
  if (!inference_error(model).empty()) throw Error(ErrorKind::kModel, "shapes do not fit: {}", why);
  restore_outputs(declared, model.mutable_graph());
}

/// What must hold before anything looks into the graph; what follows finds its nodes sorted.
void open_graph(onnx::ModelProto& proto) {
  check_header(proto);
  spell_own_domain(proto);
  graph::sort_topologically(*proto.mutable_graph());
}

void check_tensors(const onnx::GraphProto& graph) {
  graph::for_each_tensor(graph, [](const onnx::TensorProto& tensor) {
    if (onnx::TensorProto::DataType_IsValid(tensor.data_type())) return;
    throw Error(ErrorKind::kModel, "tensor '{}' has unknown element type {}", tensor.name(), tensor.data_type());
  });
}

/// An initializer of an input's name is what the input is where nobody gives another: it is of the input's type.
void check_defaults(const onnx::GraphProto& graph) {
  std::map<std::string_view, const onnx::ValueInfoProto*> inputs;
  for (const onnx::ValueInfoProto& input : graph.input()) inputs.emplace(input.name(), &input);
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    const auto input = inputs.find(tensor.name());
    if (input == inputs.end()) continue;
    const graph::ValueType declared = graph::value_type(input->second->type());
    const Shape shape = graph::shape_of(tensor);
    const bool same_shape =
        !declared.shape || std::equal(shape.begin(), shape.end(), declared.shape->begin(), declared.shape->end(),
                                      [](int64_t size, int64_t wanted) { return wanted < 0 || size == wanted; });
    const auto type = DataType{tensor.data_type()};
    if (same_shape && (declared.type == type || declared.type == DataType::kUndefined)) continue;
    throw Error(ErrorKind::kModel, "initializer '{}' is {} {}, but the input of its name is declared as {}{}{}",
                tensor.name(), data_type_name(type), shape_text(shape), data_type_name(declared.type),
                declared.shape ? " " : "", declared.shape ? shape_text(*declared.shape) : "");
  }
}

/// Everything but shapes. `folder`: where external data lies.
void check(graph::Model& model, const std::filesystem::path& folder, const graph::ExternalData& external) {
  check_opsets(model);
  check_operators(model, model.graph());
  graph::check_calls(model.proto());
  check_tensors(model.graph());
  const StandInTypes stand_ins(model.mutable_graph());
  const StandInTensors stand_in_tensors(model.mutable_graph(), external);
  try {
    run_checker(model.proto(), folder);
  } catch (const onnx::checker::ValidationError& error) {
    throw Error(ErrorKind::kModel, "not a valid model: {}", graph::one_line(error.what()));
  }
}

/// Keys of external data that only we write, and only in memory: a file that has them means something else.
void forget_own_keys(onnx::GraphProto& graph) {
  graph::for_each_tensor(graph, [](onnx::TensorProto& tensor) {
    auto& entries = *tensor.mutable_external_data();
    const auto ours = [](const auto& entry) { return entry.key().starts_with(graph::kOwnKeys); };
    entries.erase(std::remove_if(entries.begin(), entries.end(), ours), entries.end());
  });
}

/// What check() lets pass, in the form that everything else knows.
void put_right(graph::Model& model) {
  check_defaults(model.graph());
  if (model.opset() != 0 && model.opset() < kOldestOpset) raise_old_opset(model);
  flatten_batch_normalization(model);
  densify(model);
  adopt_linear_operators(model);
  model.declare_values();
  infer_shapes(model);
  if (graph::spell_gradients(model)) infer_shapes(model);
}

}  // namespace

graph::Model load_model(const std::filesystem::path& path) {
  return in_context(path.string(), [&] {
    auto file = std::make_shared<const MappedFile>(path);
    LightModel light = parse_light(*file);
    auto external = std::make_shared<graph::ExternalData>(path.parent_path());
    const std::string own_name = path.filename().string();
    external->adopt(own_name, std::move(file));
    open_graph(light.proto);
    forget_own_keys(*light.proto.mutable_graph());
    graph::Model checked(with_placeholders(light));
    check(checked, path.parent_path(), *external);
    attach_payloads(light.proto, light.payloads, own_name);
    graph::Model model(std::move(light.proto), std::move(external));
    put_right(model);
    return model;
  });
}

graph::Model check_model(onnx::ModelProto proto, const std::filesystem::path& folder) {
  open_graph(proto);
  const auto external = std::make_shared<const graph::ExternalData>(folder);
  graph::Model model(std::move(proto), external);
  check(model, folder, *external);
  put_right(model);
  return model;
}

void infer_shapes(graph::Model& model) {
  spell_defaults(model);
  const std::set<std::string> own = dimension_names(model.mutable_graph());
  const std::string why = inference_error(model);
  if (!why.empty()) {
    // Exporters declare shapes that the operators do not make, and runtimes take what the operators make.
    forget_declarations(model.mutable_graph());
    if (!inference_error(model).empty()) infer_without_outputs(model, why);
  }
  drop_invented_names(model.mutable_graph(), own);
}

}  // namespace narrow::io
