#include "lib/plan/operator_list.h"

namespace narrow::plan {

bool all_read_by(const graph::GraphIndex& index, const onnx::NodeProto& node,
                 const std::unordered_set<const onnx::NodeProto*>& readers) {
  static constexpr std::array<std::string_view, 2> kShapes{"Shape", "Size"};
  bool read = false;
  for (const std::string& output : node.output()) {
    if (index.is_output(output)) return false;
    for (const graph::Use& use : index.uses(output)) {
      if (is_one_of(*use.node, kShapes)) continue;
      if (use.input == graph::Use::kCaptured || !readers.contains(use.node)) return false;
      read = true;
    }
  }
  return read;
}

}  // namespace narrow::plan
