#include <algorithm>

#include "lib/base/error.h"
#include "lib/exec/constants.h"
#include "lib/exec/float_program.h"

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

std::map<std::string, Tensor> fold_constants(const graph::Model& model, size_t max_bytes) {
  Constants constants(model);
  std::map<std::string, Tensor> result;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (!has_kernel(node.domain(), node.op_type()) || !constants.can_fold(node)) continue;
    try {
      constants.fold(node, model.opset(node.domain()));
    } catch (const Error& error) {
      // A node that no kernel computes is left for the user's runtime; a broken one is broken there too.
      if (error.kind() == ErrorKind::kUnsupported) continue;
      throw;
    }
    if (!fits_limit(node, constants, max_bytes)) continue;
    for (const std::string& output : node.output()) {
      const Tensor* value = output.empty() ? nullptr : constants.find(output);
      if (value != nullptr && is_tensor(*value)) result.emplace(output, *value);
    }
  }
  return result;
}

}  // namespace narrow::exec
