#include "lib/runtime/sample_graph.h"

namespace narrow::runtime {

exec::SampleGraph sample_graph(const LowerContext& context) {
  return {.graph = &context.quant.graph(),
          .index = &context.quant.index(),
          .is_constant = [&context](const std::string& value) { return context.constants.is_initializer(value); },
          .constant = [&context](const std::string& value) { return context.constant(value); },
          .shape = [&context](const std::string& value) -> std::optional<Shape> {
            if (const Tensor* constant = context.quant.constant(value)) return constant->shape();
            return context.quant.index().type(value).shape;
          },
          .opset = [&context](const onnx::NodeProto& node) { return context.opset(node); },
          .element_bytes = 1};
}

}  // namespace narrow::runtime
