#include "lib/plan/spectrum.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "lib/graph/traverse.h"
#include "lib/plan/operator_list.h"

namespace narrow::plan {
namespace {

/// What filters are made of, and what makes amplitudes of powers.
bool keeps_linear(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 24> kOps{
      "Abs",   "Add",     "AveragePool", "Concat", "Conv",      "Div",        "Flatten", "Gather",
      "Gemm",  "MatMul",  "Mul",         "Neg",    "Pad",       "ReduceMean", "Reshape", "Slice",
      "Split", "Squeeze", "Sqrt",        "Sub",    "Transpose", "Unsqueeze",  "Expand",  "ReduceSum"};
  return is_one_of(node, kOps);
}

/// ... and between a power and its logarithm, a lower bound.
bool keeps_power(const onnx::NodeProto& node) {
  static constexpr std::array<std::string_view, 3> kBounds{"Clip", "Max", "Min"};
  return keeps_linear(node) || is_one_of(node, kBounds);
}

class SpectrumFinder {
 public:
  SpectrumFinder(const graph::Model& model, const graph::GraphIndex& index) : model_(model), index_(index) {
    graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
      if (node.output_size() > 0) order_.push_back(&node);
    });
  }

  std::set<std::string> run() {
    std::for_each(order_.rbegin(), order_.rend(), [&](const onnx::NodeProto* node) { look_ahead(*node); });
    for (const onnx::NodeProto* node : order_) {
      if (to_logarithm_.contains(node) && node->op_type() != "Log" && reads_power(*node)) {
        nodes_.insert(node->name());
        powers_.insert(node->output(0));
      }
    }
    return std::move(nodes_);
  }

 private:
  void look_ahead(const onnx::NodeProto& node) {
    static constexpr std::array<std::string_view, 1> kLog{"Log"};
    if (is_one_of(node, kLog)) {
      to_logarithm_.insert(&node);
    } else if (all_read_by(index_, node, to_square_)) {
      nodes_.insert(node.name());
      if (keeps_linear(node) || is_square(model_, index_, node)) to_square_.insert(&node);
    } else if (all_read_by(index_, node, to_logarithm_)) {
      if (is_square(model_, index_, node)) {
        nodes_.insert(node.name());
        powers_.insert(node.output(0));
        to_square_.insert(&node);
      } else if (keeps_power(node)) {
        to_logarithm_.insert(&node);
      }
    }
  }

  bool reads_power(const onnx::NodeProto& node) const {
    return std::any_of(node.input().begin(), node.input().end(),
                       [&](const std::string& input) { return powers_.contains(input); });
  }

  const graph::Model& model_;
  const graph::GraphIndex& index_;
  std::vector<const onnx::NodeProto*> order_;
  std::unordered_set<const onnx::NodeProto*> to_logarithm_;  // a logarithm is all that is made of what they make
  std::unordered_set<const onnx::NodeProto*> to_square_;     // ... and a square on the way there, or they are it
  std::unordered_set<std::string> powers_;
  std::set<std::string> nodes_;
};

}  // namespace

bool is_square(const graph::Model& model, const graph::GraphIndex& index, const onnx::NodeProto& node) {
  if (node.input_size() != 2 || !graph::canonical_domain(node.domain()).empty()) return false;
  if (node.op_type() == "Mul") return node.input(0) == node.input(1);
  const onnx::TensorProto* exponent = index.initializer(node.input(1));
  if (node.op_type() != "Pow" || exponent == nullptr) return false;
  const Tensor power = model.tensor(*exponent);
  return power.size() == 1 && power.type() == DataType::kFloat32 && power.data<float>().front() == 2;
}

std::set<std::string> spectrum_nodes(const graph::Model& model, const graph::GraphIndex& index) {
  return SpectrumFinder(model, index).run();
}

}  // namespace narrow::plan
