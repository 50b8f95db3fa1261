#include "lib/plan/angles.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/traverse.h"
#include "lib/plan/operator_list.h"

namespace narrow::plan {
namespace {

/// What moves or scales angles.
bool keeps_angles(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 19> kOps{
      "Add",    "Cast", "Concat", "Div",     "Einsum", "Expand",  "Flatten", "Gather",    "Gemm",     "Identity",
      "MatMul", "Mul",  "Neg",    "Reshape", "Slice",  "Squeeze", "Tile",    "Transpose", "Unsqueeze"};
  return is_one_of(node, kOps);
}

class AngleFinder {
 public:
  AngleFinder(const graph::Model& model, const graph::GraphIndex& index) : index_(index) {
    graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
      if (node.output_size() == 1) order_.push_back(&node);
    });
    for (const onnx::ValueInfoProto& input : model.graph().input()) {
      if (index_.type(input.name()).type == DataType::kFloat32) positions_.insert(input.name());
    }
  }

  std::set<std::string> run() {
    std::for_each(order_.rbegin(), order_.rend(), [&](const onnx::NodeProto* node) {
      if (is_sine(*node) || (keeps_angles(*node) && all_read_by(index_, *node, for_sines_))) for_sines_.insert(node);
    });
    std::unordered_set<const onnx::NodeProto*> angles;
    for (const onnx::NodeProto* node : order_) {
      if (is_source(*node)) positions_.insert(node->output(0));
      if (!for_sines_.contains(node) || multiplies_weights(*node)) continue;
      const bool reads_position = std::any_of(node->input().begin(), node->input().end(),
                                              [&](const auto& input) { return positions_.contains(input); });
      if (!reads_position) continue;
      angles.insert(node);
      if (!is_sine(*node)) positions_.insert(node->output(0));
    }
    // The frequencies, where they do not come as they are.
    std::for_each(order_.rbegin(), order_.rend(), [&](const onnx::NodeProto* node) {
      if (is_sine(*node) || !keeps_angles(*node) || multiplies_weights(*node)) return;
      if (all_read_by(index_, *node, angles)) angles.insert(node);
    });
    std::set<std::string> nodes;
    for (const onnx::NodeProto* node : angles) nodes.insert(node->name());
    return nodes;
  }

 private:
  static bool is_sine(const onnx::NodeProto& node) {
    static constexpr std::array<std::string_view, 2> kSines{"Cos", "Sin"};
    return is_one_of(node, kSines);
  }

  /// Where positions come into the graph's floats.
  bool is_source(const onnx::NodeProto& node) const {
    static constexpr std::array<std::string_view, 1> kRange{"Range"};
    static constexpr std::array<std::string_view, 1> kCast{"Cast"};
    if (is_one_of(node, kRange)) return true;
    if (!is_one_of(node, kCast)) return false;
    const DataType from = index_.type(node.input(0)).type;
    return from == DataType::kInt32 || from == DataType::kInt64;
  }

  /// A matrix of more than one row in either place: an outer product has none.
  bool multiplies_weights(const onnx::NodeProto& node) const {
    static constexpr std::array<std::string_view, 3> kProducts{"Einsum", "Gemm", "MatMul"};
    if (!is_one_of(node, kProducts)) return false;
    return std::any_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
      const onnx::TensorProto* constant = index_.initializer(input);
      if (constant == nullptr || constant->dims_size() < 2) return false;
      const auto& dims = constant->dims();
      return dims.at(dims.size() - 1) > 1 && dims.at(dims.size() - 2) > 1;
    });
  }

  const graph::GraphIndex& index_;
  std::vector<const onnx::NodeProto*> order_;
  std::unordered_set<const onnx::NodeProto*> for_sines_;  // sines, and what they alone read in the end
  std::unordered_set<std::string> positions_;             // values, and angles made of them
};

}  // namespace

std::set<std::string> angle_nodes(const graph::Model& model, const graph::GraphIndex& index) {
  return AngleFinder(model, index).run();
}

}  // namespace narrow::plan
