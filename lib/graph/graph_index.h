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

/// One use of a value. `input` is its position, or kCaptured if a subgraph of the node reads it from outside.
struct Use {
  static constexpr int kCaptured = -1;
  const onnx::NodeProto* node = nullptr;
  int input = 0;
};

/// Index over one graph (not into its subgraphs, whose captures count as uses by the node that owns them).
/// Valid while the GraphProto is neither changed nor moved.
class GraphIndex {
 public:
  explicit GraphIndex(const onnx::GraphProto& graph);

  const onnx::NodeProto* producer(std::string_view value) const;
  std::span<const Use> uses(std::string_view value) const;
  const onnx::TensorProto* initializer(std::string_view value) const;
  bool is_input(std::string_view value) const;
  bool is_output(std::string_view value) const;
  /// Type and shape as declared or inferred; undefined type if the graph does not tell.
  ValueType type(std::string_view value) const;
  /// The node with this name, or nullptr.
  const onnx::NodeProto* node(std::string_view name) const;
  /// True if some input, output, initializer or node output has the name.
  bool has_value(std::string_view value) const;

 private:
  struct Entry {
    const onnx::NodeProto* producer = nullptr;
    const onnx::TensorProto* initializer = nullptr;
    const onnx::ValueInfoProto* info = nullptr;
    std::vector<Use> uses;
    bool is_input = false;
    bool is_output = false;
    bool exists = false;
  };
  const Entry* find(std::string_view value) const;
  void add_nodes(const onnx::GraphProto& graph);

  std::unordered_map<std::string_view, Entry> values_;
  std::unordered_map<std::string_view, const onnx::NodeProto*> nodes_;
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
