// Who makes and who uses each value of a graph. Const: made anew after a graph has changed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/graph/onnx_proto.h"
#include "lib/tensor/data_type.h"
#include "lib/tensor/shape.h"

namespace narrow::graph {

struct ValueType {
  DataType type = DataType::kUndefined;  // kSequence for a sequence; undefined for an optional, which may hold either
  std::optional<Shape> shape;            // absent: unknown rank; -1: unknown dimension
};

/// What is declared.
ValueType value_type(const onnx::TypeProto& type);

/// One use of a value. `input` is its position, or kCaptured if a subgraph of the node reads it from outside.
struct Use {
  static constexpr int kCaptured = -1;
  const onnx::NodeProto* node = nullptr;
  int input = 0;
};

/// kGraph: one graph; what its bodies capture counts as uses by the node that owns them. kBodies: the bodies too, as if
/// all were one graph: every use is that of the node that reads, and the inputs and outputs of bodies are inputs and
/// outputs. Names must then be unique throughout (make_names_unique).
enum class Depth { kGraph, kBodies };

/// Valid while the GraphProto is neither changed nor moved.
class GraphIndex {
 public:
  explicit GraphIndex(const onnx::GraphProto& graph, Depth depth = Depth::kGraph);

  const onnx::NodeProto* producer(std::string_view value) const;
  std::span<const Use> uses(std::string_view value) const;
  const onnx::TensorProto* initializer(std::string_view value) const;
  bool is_input(std::string_view value) const;
  bool is_output(std::string_view value) const;
  /// Type and shape as declared or inferred; undefined type if the graph does not tell.
  ValueType type(std::string_view value) const;
  /// The node with this name, or nullptr.
  const onnx::NodeProto* node(std::string_view name) const;
  /// The graph that the node stands in.
  const onnx::GraphProto* graph_of(const onnx::NodeProto& node) const;
  /// The graph that has the value: as input or initializer, or made by one of its nodes. nullptr for an unknown value.
  const onnx::GraphProto* graph_of(std::string_view value) const;
  /// True if some input, output, initializer or node output has the name.
  bool has_value(std::string_view value) const;

 private:
  struct Entry {
    const onnx::NodeProto* producer = nullptr;
    const onnx::TensorProto* initializer = nullptr;
    const onnx::ValueInfoProto* info = nullptr;
    std::vector<Use> uses;
    const onnx::GraphProto* graph = nullptr;
    bool is_input = false;
    bool is_output = false;
    bool exists = false;
  };
  const Entry* find(std::string_view value) const;
  void add_values(const onnx::GraphProto& graph);
  void add_nodes(const onnx::GraphProto& graph, Depth depth);
  void add_captures(const onnx::GraphProto& graph);

  std::unordered_map<std::string_view, Entry> values_;
  std::unordered_map<std::string_view, const onnx::NodeProto*> nodes_;
  std::unordered_map<const onnx::NodeProto*, const onnx::GraphProto*> graphs_;
};

/// Values that a subgraph reads from the graphs around it, in order of first use, without duplicates.
std::vector<std::string> captured_values(const onnx::GraphProto& subgraph);

/// What a node reads: its inputs, in order ("" where absent), then what its subgraphs capture, without duplicates.
std::vector<std::string> reads_of(const onnx::NodeProto& node);

/// Calls visit(subgraph) for each graph attribute of the node.
template <class Visit>
void for_each_subgraph(const onnx::NodeProto& node, Visit visit) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) visit(attribute.g());
    for (const onnx::GraphProto& subgraph : attribute.graphs()) visit(subgraph);
  }
}

}  // namespace narrow::graph
