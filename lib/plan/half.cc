#include "lib/plan/half.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "lib/base/error.h"
#include "lib/base/mapped_pages.h"
#include "lib/graph/attributes.h"
#include "lib/graph/inference.h"
#include "lib/graph/schemas.h"
#include "lib/tensor/convert.h"
#include "lib/tensor/metrics.h"
#include "lib/tensor/piece.h"

namespace narrow::plan {
namespace {

constexpr double kLeastSqnrDb = 40;

bool has_bodies(const onnx::NodeProto& node) {
  return std::any_of(node.attribute().begin(), node.attribute().end(), [](const onnx::AttributeProto& attribute) {
    return attribute.has_g() || attribute.graphs_size() > 0;
  });
}

/// The formal parameter behind position `i`: the last one may stand for any number.
const onnx::OpSchema::FormalParameter* parameter(const std::vector<onnx::OpSchema::FormalParameter>& all, int i) {
  if (all.empty()) return nullptr;
  const size_t at = std::min(static_cast<size_t>(i), all.size() - 1);
  const bool there = at == static_cast<size_t>(i) || all[at].GetOption() == onnx::OpSchema::Variadic;
  return there ? &all[at] : nullptr;
}

bool takes(const onnx::OpSchema::FormalParameter& formal, std::string_view type) {
  const auto& types = formal.GetTypes();
  return std::any_of(types.begin(), types.end(), [&](const auto* text) { return *text == type; });
}

bool is_container(const std::string& type) {
  return type.starts_with("seq(") || type.starts_with("optional(");
}

/// Puts tensors into sequences and optionals or takes them out: what these hold is of the type that the graph declares.
/// Where one type variable may stand for both on both sides, as in Identity, tensors stay tensors.
bool has_containers(const onnx::OpSchema& schema) {
  const auto occurs = [](const auto& list, const std::string& variable) {
    return std::any_of(list.begin(), list.end(), [&](const auto& formal) { return formal.GetTypeStr() == variable; });
  };
  const auto holds = [&](const onnx::OpSchema::FormalParameter& formal) {
    const auto& types = formal.GetTypes();
    const auto count = std::count_if(types.begin(), types.end(), [](const auto* type) { return is_container(*type); });
    const bool tied = occurs(schema.inputs(), formal.GetTypeStr()) && occurs(schema.outputs(), formal.GetTypeStr());
    return count > 0 && (!tied || count == static_cast<std::ptrdiff_t>(types.size()));
  };
  return std::any_of(schema.inputs().begin(), schema.inputs().end(), holds) ||
         std::any_of(schema.outputs().begin(), schema.outputs().end(), holds);
}

bool is_float32(const graph::GraphIndex& index, const std::string& value) {
  return !value.empty() && index.type(value).type == DataType::kFloat32;
}

int opset_for(const graph::Model& model, DataType type) {
  return std::max(model.opset(), type == DataType::kBfloat16 ? kBfloat16Opset : 0);
}

// Piece by piece: of a large table copies would take as much memory as all weights.
bool survives(const Tensor& constant, DataType type) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  Workspace workspace;
  ErrorStatistics error;
  for (int64_t begin = 0; begin < constant.size(); begin += kPiece) {
    const Tensor piece = piece_of(constant, begin, std::min(kPiece, constant.size() - begin));
    const Tensor there = convert_elements(piece, type, workspace);
    error.add(piece.data<float>(), convert_elements(there, DataType::kFloat32, workspace).data<float>());
    if (constant.size() > kPiece) release_pages(constant.bytes(), constant.byte_size());
  }
  return error.sqnr_db() >= kLeastSqnrDb;
}

/// A float32 constant, and what it is called.
struct Constant {
  std::string name;
  Tensor tensor;
};

/// The constant whose elements are all that the value holds (and zeros), spread or reordered; as masks are made of the
/// least float32.
std::optional<Constant> spread_constant(const graph::Model& model, const graph::GraphIndex& index,
                                        const std::string& value) {
  static constexpr std::array<std::string_view, 10> kSpread{"Expand",  "Flatten", "Identity",  "Reshape", "Slice",
                                                            "Squeeze", "Tile",    "Transpose", "Trilu",   "Unsqueeze"};
  std::string at = value;
  for (;;) {
    if (const onnx::TensorProto* initializer = index.initializer(at)) return Constant{at, model.tensor(*initializer)};
    const onnx::NodeProto* node = index.producer(at);
    if (node == nullptr || !graph::canonical_domain(node->domain()).empty()) return std::nullopt;
    if (node->op_type() == "ConstantOfShape") {
      const onnx::AttributeProto* fill = graph::find_attribute(*node, "value");
      if (fill == nullptr) return std::nullopt;
      return Constant{at, graph::embedded_tensor(fill->t())};
    }
    if (std::find(kSpread.begin(), kSpread.end(), node->op_type()) == kSpread.end()) return std::nullopt;
    at = node->input(0);
  }
}

/// An input has to have the type of another, and nobody tells which it has.
bool has_untyped_beside(const graph::GraphIndex& index, const onnx::NodeProto& node, const onnx::OpSchema& schema,
                        const std::set<std::string>& variables) {
  for (int i = 0; i < node.input_size(); ++i) {
    const auto* formal = parameter(schema.inputs(), i);
    const bool tied = formal != nullptr && !node.input(i).empty() && variables.contains(formal->GetTypeStr());
    if (tied && index.type(node.input(i)).type == DataType::kUndefined) return true;
  }
  return false;
}

void set_type(onnx::ValueInfoProto& value, const std::string& name, DataType type) {
  value.set_name(name);
  value.mutable_type()->mutable_tensor_type()->set_elem_type(static_cast<int32_t>(type));
}

/// ONNX's inference gives the results of the node the types that the slots say. It does not where a result has the type
/// of what is read though no variable ties them (RandomUniformLike), where an attribute tells a type of the same size
/// (BitCast), and where a function body holds constants of float32 (MeanVarianceNormalization).
bool inferred_so(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node,
                 const HalfSlots& slots, DataType type, int opset) {
  const auto has = [](const std::vector<int>& list, int i) {
    return std::find(list.begin(), list.end(), i) != list.end();
  };
  onnx::ModelProto alone;
  alone.set_ir_version(model.proto().ir_version());
  alone.add_opset_import()->set_version(opset);
  *alone.mutable_graph()->add_node() = node;
  std::set<std::string> known;
  for (int i = 0; i < node.input_size(); ++i) {
    if (node.input(i).empty()) continue;
    // One value may be read as float32 in one place and as 16 bits in another.
    std::string& name = *alone.mutable_graph()->mutable_node(0)->mutable_input(i);
    if (has(slots.inputs, i)) name = fmt::format("half {}", i);
    const DataType read = has(slots.inputs, i) ? type : index.type(node.input(i)).type;
    if (read == DataType::kUndefined) return true;
    if (known.insert(name).second) set_type(*alone.mutable_graph()->add_input(), name, read);
  }
  const onnx::ShapeInferenceOptions options{/*check_type=*/true, /*strict_mode=*/1};
  try {
    graph::infer_shapes(alone, graph::schemas(), options);
  } catch (const Error&) {
    return false;
  }
  const graph::GraphIndex inferred(alone.graph());
  for (int i = 0; i < node.output_size(); ++i) {
    const DataType wanted = has(slots.outputs, i) ? type : index.type(node.output(i)).type;
    const DataType found = inferred.type(node.output(i)).type;
    if (found != DataType::kUndefined && wanted != DataType::kUndefined && found != wanted) return false;
  }
  return true;
}

}  // namespace

HalfSlots half_slots(const graph::GraphIndex& index, const onnx::NodeProto& node, DataType type, int opset) {
  HalfSlots slots;
  const bool is_onnx = graph::canonical_domain(node.domain()).empty();
  const onnx::OpSchema* schema = is_onnx ? graph::find_schema(node, opset) : nullptr;
  if (schema == nullptr || has_bodies(node) || has_containers(*schema)) return slots;
  const std::string text = fmt::format("tensor({})", data_type_name(type));
  std::set<std::string> variables;
  for (int i = 0; i < node.input_size(); ++i) {
    const auto* formal = parameter(schema->inputs(), i);
    if (formal == nullptr || !is_float32(index, node.input(i)) || !takes(*formal, text)) continue;
    slots.inputs.push_back(i);
    variables.insert(formal->GetTypeStr());
  }
  if (has_untyped_beside(index, node, *schema, variables)) return {};
  for (int i = 0; i < node.output_size(); ++i) {
    const auto* formal = parameter(schema->outputs(), i);
    const bool tied = formal != nullptr && variables.contains(formal->GetTypeStr());
    if (tied && is_float32(index, node.output(i))) slots.outputs.push_back(i);
  }
  return slots;
}

std::optional<Reason> half_operator_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, DataType type) {
  if (has_bodies(node)) {
    return Reason{ReasonCode::kNotHalf, "what goes between it and its bodies stays float32"};
  }
  const int opset = opset_for(model, type);
  const HalfSlots slots = half_slots(index, node, type, opset);
  if (!slots.inputs.empty()) {
    if (inferred_so(model, index, node, slots, type, opset)) return std::nullopt;
    return Reason{ReasonCode::kNotHalf,
                  fmt::format("of {} {} makes other types", data_type_name(type), node.op_type())};
  }
  const bool is_onnx = graph::canonical_domain(node.domain()).empty();
  const onnx::OpSchema* schema = is_onnx ? graph::find_schema(node, opset) : nullptr;
  if (schema != nullptr && has_containers(*schema)) {
    return Reason{ReasonCode::kNotHalf, "what sequences and optionals hold stays float32"};
  }
  return Reason{ReasonCode::kNotHalf,
                fmt::format("{} reads no float32 value that may be {}", node.op_type(), data_type_name(type))};
}

std::optional<Reason> half_constant_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                            const onnx::NodeProto& node, DataType type) {
  for (const int slot : half_slots(index, node, type, opset_for(model, type)).inputs) {
    const auto constant = spread_constant(model, index, node.input(slot));
    if (!constant || survives(constant->tensor, type)) continue;
    return Reason{ReasonCode::kNotHalf,
                  fmt::format("constant '{}' overflows or underflows {}", constant->name, data_type_name(type))};
  }
  return std::nullopt;
}

std::optional<Reason> half_refusal(const graph::Model& model, const graph::GraphIndex& index,
                                   const onnx::NodeProto& node, DataType type) {
  const auto reason = half_operator_refusal(model, index, node, type);
  return reason ? reason : half_constant_refusal(model, index, node, type);
}

}  // namespace narrow::plan
