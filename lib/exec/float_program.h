// Compiles a float model: oneDNN where it has a primitive, a plain reference kernel otherwise.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::exec {

struct CompileOptions {
  /// Values that a listener or caller wants to see: they are computed as themselves, not fused away.
  std::vector<std::string> observed;
  /// Fuse activations and residual sums into convolutions and the like.
  bool fuse = true;
};

/// Any model, normalized or not. Throws Error(kUnsupported) naming the first node whose operator, opset version or
/// attribute has no kernel.
Program compile_float(const graph::Model& model, const CompileOptions& options = {});

struct GraphScope;

/// What a kernel is made from. The inputs of its step are graph::reads_of(node): the node's own, then what its bodies
/// capture. A kernel that asks for a constant input and gets it keeps it: the step may then leave that input absent.
struct KernelRequest {
  const onnx::NodeProto* node = nullptr;
  int opset = 0;                                     // version of the node's domain
  std::function<const Tensor*(int input)> constant;  // the input's value if it is known now, or nullptr
  std::function<graph::ValueType(int input)> type;   // as declared or inferred; may be empty: nothing is known
  const graph::Model* model = nullptr;               // whose opsets and external data the node's bodies use
  const CompileOptions* options = nullptr;           // those of the program, for the bodies; nullptr: defaults
  std::function<Program(GraphScope)> compile_body;   // makes the programs of its bodies; none: compile_graph
};

/// The float (or integer data-movement) kernel of one node; the program of the operator's ONNX function body where it
/// has no kernel here. Throws Error(kUnsupported) naming node and reason.
KernelPtr make_kernel(const KernelRequest& request);

/// True if the kernel table has the operator at all. Others may still run by their function body.
bool has_kernel(std::string_view domain, std::string_view op_type);

/// Values that do not depend on any input, computed once: name -> tensor, bodies included (whose names must be unique).
/// Values larger than `max_bytes` that do not shrink what they are computed from are left out, so folding never blows
/// the file up; one whose declared shape is many times larger is not computed at all.
std::map<std::string, Tensor> fold_constants(const graph::Model& model, size_t max_bytes = size_t{1} << 20);

}  // namespace narrow::exec
