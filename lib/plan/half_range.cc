#include "lib/plan/half_range.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/graph/traverse.h"
#include "lib/plan/operator_list.h"
#include "lib/plan/spectrum.h"

namespace narrow::plan {
namespace {

/// Their result grows with the number of terms, or is a square inside.
bool is_sum(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 7> kOps{
      "CumSum", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSum", "ReduceSumSquare"};
  return is_one_of(node, kOps);
}

bool is_mean(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 3> kOps{"AveragePool", "GlobalAveragePool", "ReduceMean"};
  return is_one_of(node, kOps);
}

/// Functions whose result is in range where their input is not.
bool brings_back(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 3> kOps{"Log", "Reciprocal", "Sqrt"};
  return is_one_of(node, kOps);
}

/// What passes range on: arithmetic, and moving data.
bool passes_on(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 20> kOps{
      "Abs", "Add", "Clip",      "Concat",    "Div",     "Expand", "Flatten", "Identity", "Max",       "Min",
      "Mul", "Neg", "ReduceMax", "ReduceMin", "Reshape", "Slice",  "Squeeze", "Sub",      "Transpose", "Unsqueeze"};
  return is_one_of(node, kOps) || is_mean(node);
}

class RangeFinder {
 public:
  RangeFinder(const graph::Model& model, const graph::GraphIndex& index, const std::set<std::string>& without_constants)
      : model_(model), index_(index), without_constants_(without_constants) {
    graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
      if (node.output_size() > 0) order_.push_back(&node);
    });
  }

  std::set<std::string> run() {
    std::for_each(order_.rbegin(), order_.rend(), [&](const onnx::NodeProto* node) { look_ahead(*node); });
    for (const onnx::NodeProto* node : order_) visit(*node);
    return std::move(nodes_);
  }

 private:
  void look_ahead(const onnx::NodeProto& node) {
    const bool narrows =
        is_sum(node) || is_mean(node) || brings_back(node) || (passes_on(node) && narrowed_.contains(node.output(0)));
    if (narrows) narrowed_.insert(node.input().begin(), node.input().end());
  }

  void visit(const onnx::NodeProto& node) {
    const bool wide =
        is_sum(node) || (is_square(model_, index_, node) && narrowed_.contains(node.output(0))) || goes_on(node);
    if (wide || divides_wide(node)) nodes_.insert(node.name());
    if (!brings_back(node) && (wide || without_constants_.contains(node.name()))) values_.insert(node.output(0));
  }

  /// A quotient of what may be out of range is there to bring it back, as the length of a vector does with the vector:
  /// the dividend must not be cast before. What the quotient goes into is of ordinary size.
  bool divides_wide(const onnx::NodeProto& node) const {
    return node.op_type() == "Div" && values_.contains(node.input(0));
  }

  /// All that the node computes on is wide, or some of it and it lies between a square and its root.
  bool goes_on(const onnx::NodeProto& node) const {
    if (!passes_on(node) && !brings_back(node)) return false;
    int wide = 0;
    int other = 0;
    for (const std::string& input : node.input()) {
      const bool computed =
          !input.empty() && index_.initializer(input) == nullptr && index_.type(input).type == DataType::kFloat32;
      if (computed) ++(values_.contains(input) ? wide : other);
    }
    return wide > 0 && (other == 0 || narrowed_.contains(node.output(0)));
  }

  const graph::Model& model_;
  const graph::GraphIndex& index_;
  const std::set<std::string>& without_constants_;
  std::vector<const onnx::NodeProto*> order_;
  std::set<std::string> nodes_;
  std::unordered_set<std::string> values_;    // may be out of range
  std::unordered_set<std::string> narrowed_;  // arithmetic makes a sum, a mean, a root or a logarithm of them
};

}  // namespace

std::set<std::string> wide_nodes(const graph::Model& model, const graph::GraphIndex& index,
                                 const std::set<std::string>& without_constants) {
  return RangeFinder(model, index, without_constants).run();
}

}  // namespace narrow::plan
