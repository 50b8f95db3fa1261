#include <algorithm>

#include "lib/base/error.h"
#include "lib/exec/constants.h"
#include "lib/exec/float_program.h"
#include "lib/exec/shared_constants.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/tensor_shape.h"

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

  std::map<std::string, Tensor> take() {
    const graph::GraphIndex index(model_.graph(), graph::Depth::kBodies);
    result_.merge(shared_.worth_storing(index, result_));
    return std::move(result_);
  }

 private:
  bool fold_node(const onnx::NodeProto& node, const graph::GraphIndex& index, Constants& constants) {
    if (!has_kernel(node.domain(), node.op_type()) || !constants.can_fold(node)) return false;
    if (is_known_too_large(node, index, input_bytes(node, constants))) return false;
    try {
      constants.fold(node, model_.opset(node.domain()));
    } catch (const Error& error) {
      // A node that no kernel computes is left for the user's runtime; a broken one is broken there too.
      if (error.kind() == ErrorKind::kUnsupported) return false;
      throw;
    }
    if (!fits_limit(node, constants, max_bytes_)) return true;
    const std::vector<std::string> reads = graph::reads_of(node);
    const bool shares = shared_.any_of(reads);
    for (const std::string& output : node.output()) {
      const Tensor* value = output.empty() ? nullptr : constants.find(output);
      if (value == nullptr || !is_tensor(*value)) continue;
      if (shares && value->byte_size() > SharedConstants::kSmall) {
        shared_.add_result(reads, output, *value);
      } else {
        result_.emplace(output, *value);
      }
    }
    return true;
  }

  // What is too large to keep may be a step to something small, but not at any price. No larger than what it is made of
  // it may be in any case: a weight of any size that is transposed, reshaped or cast is a weight.
  bool is_known_too_large(const onnx::NodeProto& node, const graph::GraphIndex& index, size_t inputs) const {
    const size_t limit = std::max(kIntermediates * max_bytes_, inputs);
    return std::any_of(node.output().begin(), node.output().end(), [&](const std::string& output) {
      const graph::ValueType type = index.type(output);
      if (!graph::is_known(type.shape) || data_type_bits(type.type) == 0) return false;
      return storage_bytes(type.type, element_count(*type.shape)) > limit;
    });
  }

  void fold_bodies(const onnx::NodeProto& node, const Constants& constants) {
    graph::for_each_subgraph(node, [&](const onnx::GraphProto& body) {
      std::map<std::string, Tensor> known;
      for (const std::string& value : graph::captured_values(body)) {
        if (!constants.has(value)) continue;
        const Tensor& constant = *constants.find(value);
        if (constant.byte_size() > SharedConstants::kSmall) shared_.add_source(value, constant.byte_size());
        known.emplace(value, constant);
      }
      fold(body, std::move(known));
    });
  }

  static constexpr size_t kIntermediates = 16;

  const graph::Model& model_;
  const size_t max_bytes_;
  std::map<std::string, Tensor> result_;
  // What bodies compute from large constants around them, and whether it is worth storing, is known only at the end.
  SharedConstants shared_;
};

}  // namespace

std::map<std::string, Tensor> fold_constants(const graph::Model& model, size_t max_bytes) {
  Folder folder(model, max_bytes);
  folder.fold(model.graph(), {});
  return folder.take();
}

}  // namespace narrow::exec
