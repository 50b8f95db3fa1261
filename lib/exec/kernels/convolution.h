#pragma once

#include "lib/exec/float_program.h"
#include "lib/onednn/convolution.h"

namespace narrow::exec {

/// What a fused group does after the sum of its anchor.
struct Epilogue {
  onednn::Clamp clamp;
  std::vector<onednn::Activation> activations;  // behind the clamp; none with a residual
  /// The step has one more input, behind the node's own, that is added before the clamp.
  bool add_residual = false;
  bool operator==(const Epilogue&) const = default;
};

/// The kernel of a Conv node with an epilogue. With one, the weight must be constant float32.
KernelPtr make_convolution(const KernelRequest& request, const Epilogue& epilogue);

/// clamp(sum + residual) with broadcasting, plain.
Tensor add_and_clamp(const Tensor& sum, const Tensor& residual, const onednn::Clamp& clamp, Workspace& workspace);

/// True if make_convolution takes an epilogue for this node.
bool convolution_takes_epilogue(const KernelRequest& request);

}  // namespace narrow::exec
