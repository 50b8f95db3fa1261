#include <algorithm>
#include <set>

#include "lib/base/error.h"
#include "lib/exec/constants.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"

namespace narrow::exec {
namespace {

size_t input_bytes(const onnx::NodeProto& node, const Constants& constants) {
  size_t total = 0;
  for (const std::string& input : graph::reads_of(node)) {
    if (!input.empty()) total += constants.find(input)->byte_size();
  }
  return total;
}

// An initializer can hold it.
bool is_tensor(const Tensor& value) {
  return value.type() != DataType::kSequence && value.type() != DataType::kEmptyOptional;
}

bool fits_limit(const onnx::NodeProto& node, const Constants& constants, size_t max_bytes) {
  const size_t limit = std::max(max_bytes, input_bytes(node, constants));
  return std::all_of(node.output().begin(), node.output().end(), [&](const std::string& output) {
    const Tensor* value = output.empty() ? nullptr : constants.find(output);
    return value == nullptr || value->byte_size() <= limit;
  });
}

}  // namespace

namespace {

class Folder {
 public:
  Folder(const graph::Model& model, size_t max_bytes) : model_(model), max_bytes_(max_bytes) {}

  // `known`: what is constant around the graph.
  void fold(const onnx::GraphProto& graph, std::map<std::string, Tensor> known) {
    Constants constants(model_, graph, std::move(known));
    const graph::GraphIndex index(graph);
    for (const onnx::NodeProto& node : graph.node()) {
      if (!fold_node(node, index, constants)) fold_bodies(node, constants);
    }
  }

  std::map<std::string, Tensor> take() { return std::move(result_); }

 private:
  bool fold_node(const onnx::NodeProto& node, const graph::GraphIndex& index, Constants& constants) {
    if (!has_kernel(node.domain(), node.op_type()) || !constants.can_fold(node)) return false;
    if (is_known_too_large(node, index)) return false;
    try {
      constants.fold(node, model_.opset(node.domain()));
    } catch (const Error& error) {
      // A node that no kernel computes is left for the user's runtime; a broken one is broken there too.
      if (error.kind() == ErrorKind::kUnsupported) return false;
      throw;
    }
    if (!fits_limit(node, constants, max_bytes_)) return true;
    const std::vector<std::string> reads = graph::reads_of(node);
    const bool shares =
        std::any_of(reads.begin(), reads.end(), [&](const std::string& value) { return shared_.contains(value); });
    for (const std::string& output : node.output()) {
      const Tensor* value = output.empty() ? nullptr : constants.find(output);
      if (value == nullptr || !is_tensor(*value)) continue;
      if (shares && value->byte_size() > kSmall) {
        shared_.insert(output);
      } else {
        result_.emplace(output, *value);
      }
    }
    return true;
  }

  // What is too large to keep may be a step to something small, but not at any price.
  bool is_known_too_large(const onnx::NodeProto& node, const graph::GraphIndex& index) const {
    return std::any_of(node.output().begin(), node.output().end(), [&](const std::string& output) {
      const graph::ValueType type = index.type(output);
      if (!type.shape || data_type_bits(type.type) == 0) return false;
      const bool known = std::all_of(type.shape->begin(), type.shape->end(), [](int64_t size) { return size >= 0; });
      return known && storage_bytes(type.type, element_count(*type.shape)) > kIntermediates * max_bytes_;
    });
  }

  void fold_bodies(const onnx::NodeProto& node, const Constants& constants) {
    graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) {
      std::map<std::string, Tensor> known;
      for (const std::string& value : graph::captured_values(body)) {
        if (!constants.has(value)) continue;
        const Tensor& constant = *constants.find(value);
        if (constant.byte_size() > kSmall) shared_.insert(value);
        known.emplace(value, constant);
      }
      fold(body, std::move(known));
    });
  }

  static constexpr size_t kIntermediates = 16;
  static constexpr size_t kSmall = 4096;

  const graph::Model& model_;
  const size_t max_bytes_;
  std::map<std::string, Tensor> result_;
  // Large constants that bodies read from around them, and what is computed from those: each body would store its own
  // copy of what they now share.
  std::set<std::string> shared_;
};

}  // namespace

std::map<std::string, Tensor> fold_constants(const graph::Model& model, size_t max_bytes) {
  Folder folder(model, max_bytes);
  folder.fold(model.graph(), {});
  return folder.take();
}

}  // namespace narrow::exec
