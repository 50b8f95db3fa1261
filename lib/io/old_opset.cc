#include "lib/io/old_opset.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/inference.h"
#include "lib/graph/local_functions.h"
#include "lib/graph/raise_opset.h"
#include "lib/graph/traverse.h"
#include "lib/io/light_parse.h"
#include "lib/io/loose_forms.h"
#include "lib/io/old_shapes.h"

namespace narrow::io {
namespace {

constexpr std::array<std::string_view, 11> kBroadcasting{"Add", "And", "Div", "Equal", "Greater", "Less",
                                                         "Mul", "Or",  "Pow", "Sub",   "Xor"};

[[noreturn]] void refuse(const onnx::NodeProto& node, const std::string& why) {
  throw Error(ErrorKind::kUnsupported, "node '{}' ({}): {}", graph::node_label(node), node.op_type(), why);
}

void remove_attributes(onnx::NodeProto& node, std::initializer_list<std::string_view> names) {
  auto& attributes = *node.mutable_attribute();
  const auto end = std::remove_if(attributes.begin(), attributes.end(), [&](const onnx::AttributeProto& attribute) {
    return std::find(names.begin(), names.end(), attribute.name()) != names.end();
  });
  attributes.erase(end, attributes.end());
}

/// A BatchNormalization that normalizes each element of a sample by itself.
bool is_unspatial(const onnx::NodeProto& node) {
  return node.op_type() == "BatchNormalization" && graph::canonical_domain(node.domain()).empty() &&
         graph::int_attribute(node, "spatial", 1) == 0;
}

class OldForms {
 public:
  explicit OldForms(graph::Model& model)
      : opset_(model.opset()), index_(model.graph(), graph::Depth::kBodies), editor_(model) {}

  void bring_all(onnx::GraphProto& main) {
    graph::for_each_graph(main, [&](onnx::GraphProto& graph) {
      const int count = graph.node_size();  // without those that are added
      for (int i = 0; i < count; ++i) bring(graph, i);
    });
    editor_.finish();
  }

 private:
  void bring(onnx::GraphProto& graph, int number) {
    onnx::NodeProto& node = *graph.mutable_node(number);
    const std::string op_type = node.op_type();
    if (!graph::canonical_domain(node.domain()).empty()) return;
    if (std::find(kBroadcasting.begin(), kBroadcasting.end(), op_type) != kBroadcasting.end()) {
      broadcast(graph, node, number);
      keep(*graph.mutable_node(number));
    } else if (op_type == "Gemm") {
      remove_attributes(node, {"broadcast"});
      keep(node);
    } else if (op_type == "LSTM" || op_type == "GRU" || op_type == "RNN") {
      remove_attributes(node, {"output_sequence"});  // both outputs were made in any case
      keep(node);
    } else if ((op_type == "LpPool" || op_type == "GlobalLpPool") && opset_ < 2) {
      whole_power(node);
      keep(node);
    } else if (op_type == "PRelu") {
      spread_slopes(graph, node, number);
    } else if (op_type == "Pad" && opset_ < 2) {
      rename_attribute(node, "paddings", "pads");
      keep(node);
    } else if (op_type == "Cast" && opset_ < 6) {
      name_type(node);
      keep(node);
    } else if (op_type == "Split" && opset_ < 2) {
      if (node.input_size() > 1) refuse(node, "sizes that are an input, of opset 1");
      keep(node);
    } else if (is_unspatial(node)) {
      if (graph::int_attribute(node, "is_test", 0) == 0) refuse(node, "training mode");
      remove_attributes(node, {"consumed_inputs", "is_test"});
      keep(node);  // for flatten_batch_normalization()
    } else if (op_type == "Tile" && opset_ < 6) {
      refuse(node, "tiles and axis of opset 1");
    }
  }

  /// Newer opsets broadcast without being told. The converter knows no way for comparisons and logic, and none for
  /// arithmetic and Gemm on dimensions that are free.
  void broadcast(onnx::GraphProto& graph, onnx::NodeProto& node, int number) {
    const bool has_axis = graph::find_attribute(node, "axis") != nullptr;
    const bool along = has_axis && graph::int_attribute(node, "broadcast", 0) != 0;
    const int64_t axis = graph::int_attribute(node, "axis", 0);
    remove_attributes(node, {"axis", "broadcast", "consumed_inputs"});
    if (along) spread(graph, node, number, axis);
  }

  /// A slope for each channel.
  void spread_slopes(onnx::GraphProto& graph, onnx::NodeProto& node, int number) {
    remove_attributes(node, {"consumed_inputs"});
    const auto slopes = index_.type(node.input(1)).shape;
    if (slopes && slopes->size() == 1 && slopes->at(0) != 1) spread(graph, node, number, 1);
  }

  // Before:  y = Add (a, b)          b's axes are those of a from `axis` on
  // After:   t = Unsqueeze (b);  y = Add (a, t)
  void spread(onnx::GraphProto& graph, onnx::NodeProto& node, int number, int64_t axis) {
    const auto rank = [&](int input) {
      const auto shape = index_.type(node.input(input)).shape;
      if (!shape) refuse(node, "axis " + std::to_string(axis) + " of a value whose rank is not known");
      return static_cast<int64_t>(shape->size());
    };
    const int64_t first = axis < 0 ? axis + rank(0) : axis;
    const int64_t behind = rank(0) - first - rank(1);
    if (first < 0 || behind < 0) refuse(node, "axis " + std::to_string(axis));
    if (behind == 0) return;
    std::vector<int64_t> axes;
    for (int64_t i = 0; i < behind; ++i) axes.push_back(rank(1) + i);
    const std::string from = node.input(1);
    editor_.edit(graph);
    onnx::NodeProto& unsqueeze = editor_.add_value("Unsqueeze", from + "_along_axis", {from});
    graph::set_ints_attribute(unsqueeze, "axes", axes);
    graph.mutable_node(number)->set_input(1, unsqueeze.output(0));
  }

  static void rename_attribute(onnx::NodeProto& node, std::string_view from, std::string_view to) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.name() == from) attribute.set_name(std::string(to));
    }
  }

  /// "to" was a type's name once.
  static void name_type(onnx::NodeProto& node) {
    const std::string name = graph::string_attribute(node, "to", "");
    onnx::TensorProto::DataType type = onnx::TensorProto::UNDEFINED;
    if (!onnx::TensorProto::DataType_Parse(name, &type)) refuse(node, "there is no type '" + name + "'");
    remove_attributes(node, {"to"});
    graph::set_int_attribute(node, "to", type);
  }

  /// "p" was a float once.
  static void whole_power(onnx::NodeProto& node) {
    const float power = graph::float_attribute(node, "p", 2);
    if (power != std::nearbyint(power)) refuse(node, "a power p that is not whole");
    remove_attributes(node, {"p"});
    graph::set_int_attribute(node, "p", static_cast<int64_t>(power));
  }

  static void keep(onnx::NodeProto& node) { node.set_domain(std::string(graph::kKeptDomain)); }

  int opset_;
  graph::GraphIndex index_;
  graph::GraphEditor editor_;
};

}  // namespace

void raise_old_opset(graph::Model& model) {
  onnx::ModelProto& proto = model.mutable_proto();
  // Not strictly: what no inference knows may still be converted.
  {
    const InitializersNeedNotBeInputs lifted(proto);
    const OldShapes shapes;
    graph::infer_shapes(proto, shapes);
  }
  OldForms(model).bring_all(*proto.mutable_graph());
  proto.set_ir_version(std::max<int64_t>(proto.ir_version(), 3));
  onnx::ModelProto raised = graph::raise_opset(proto, kRaisedOpset);
  proto.Swap(&raised);
}

// Before:  y = BatchNormalization <spatial = 0> (x, s, b, m, v)
// After:   t = BatchNormalization (Flatten (x), Reshape (s, [-1]), ...);  y = Reshape (t, Shape (x))
void flatten_batch_normalization(graph::Model& model) {
  if (model.opset() > kRaisedOpset) return;
  // A function's body takes no initializers: it is put in place of its calls first.
  const auto& functions = model.proto().functions();
  const bool in_function = std::any_of(functions.begin(), functions.end(), [](const onnx::FunctionProto& function) {
    bool found = false;
    graph::for_each_node(function.node(), [&](const onnx::NodeProto& node) { found |= is_unspatial(node); });
    return found;
  });
  if (in_function) graph::inline_functions(model.mutable_proto());
  graph::GraphEditor editor(model);
  bool changed = false;
  graph::for_each_graph(model.mutable_graph(), [&](onnx::GraphProto& graph) {
    const int count = graph.node_size();  // without those that are added
    for (int i = 0; i < count; ++i) {
      onnx::NodeProto& node = *graph.mutable_node(i);
      if (!is_unspatial(node) || node.input_size() != 5) continue;
      changed = true;
      editor.edit(graph);
      const std::string output = node.output(0);
      const auto make = [&](const char* op_type, const std::string& wanted, const std::vector<std::string>& inputs) {
        return editor.add_value(op_type, wanted, inputs).output(0);
      };
      const std::string line = editor.add_initializer(output + "_line", Tensor::of<int64_t>({1}, {-1}));
      const std::string shape = make("Shape", output + "_shape", {node.input(0)});
      node.set_input(0, make("Flatten", output + "_flat", {node.input(0)}));
      for (int k = 1; k < 5; ++k) node.set_input(k, make("Reshape", node.input(k) + "_flat", {node.input(k), line}));
      node.set_output(0, editor.unique_name(output + "_normal"));
      editor.add_node("Reshape", output + "_Reshape", {node.output(0), shape}, {output});
      remove_attributes(node, {"spatial"});
    }
  });
  if (changed) editor.finish();
}

int opset_of_file(const std::filesystem::path& path) {
  return graph::Model(parse_light(MappedFile(path)).proto).opset();
}

}  // namespace narrow::io
