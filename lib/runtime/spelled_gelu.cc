#include "lib/runtime/spelled_gelu.h"

#include "lib/exec/fuse.h"

namespace narrow::runtime {

std::vector<const onnx::NodeProto*> spelled_gelu(const LowerContext& context, const exec::Constants& constants,
                                                 const onnx::NodeProto& first) {
  if (first.input_size() == 0) return {};
  const std::set<std::string> observed;
  const std::set<const onnx::NodeProto*> taken;
  const exec::FusionContext fusion{.model = context.quant.model(),
                                   .index = context.quant.index(),
                                   .constants = constants,
                                   .observed = observed,
                                   .taken = taken};
  auto match = exec::match_activation(first.input(0), fusion);
  const bool found = match && match->nodes.size() > 1 && match->activation.kind == onednn::Activation::Kind::kGelu;
  return found ? std::move(match->nodes) : std::vector<const onnx::NodeProto*>{};
}

exec::KernelPtr make_spelled_gelu(const LowerContext& context, const std::vector<const onnx::NodeProto*>& nodes) {
  onnx::NodeProto gelu;
  gelu.set_op_type("Gelu");
  gelu.add_input(nodes.front()->input(0));
  gelu.add_output(nodes.back()->output(0));
  return make_float_kernel(context, gelu).kernel;
}

}  // namespace narrow::runtime
