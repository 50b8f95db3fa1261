// Lowers a quantized model to a program whose node groups run on integer kernels.
//
//   x -> QuantizeLinear -> DequantizeLinear -> op [-> Relu/Clip] -> QuantizeLinear -> y
//
// becomes one step that reads integers and writes integers. Whatever has no such form runs in float32 on dequantized
// values, and the coverage says so. Operators that compute on integers by themselves (QLinearConv, QGemm, ...) are read
// as such groups.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/reason.h"
#include "lib/exec/program.h"
#include "lib/graph/model.h"
#include "lib/quant/quant_params.h"

namespace narrow::runtime {

/// kReference runs plain integer loops instead of vector code and oneDNN: the oracle of the tests.
enum class KernelChoice { kFast, kReference };

struct LowerOptions {
  KernelChoice kernels = KernelChoice::kFast;
  /// Runs both kinds on the same inputs, goes on with the fast results and counts the differences in
  /// LoweredModel::checks.
  bool check_kernels = false;
};

/// What a fast kernel computed otherwise than the reference loops on the same inputs, over all runs.
struct KernelCheck {
  std::string node;  // label
  std::string op_type;
  int64_t elements = 0;
  int64_t unequal = 0;
  /// By more than one step; of float32 results by more than 1e-4 of the largest magnitude. Rounding explains one step.
  int64_t beyond_one = 0;
  int64_t most = 0;  // steps; 0 for float32 results
};

/// How one compute node of the quantized model runs; QuantizeLinear and DequantizeLinear are not compute nodes.
struct NodeCoverage {
  std::string node;  // label
  std::string op_type;
  bool integer = false;
  std::optional<Reason> reason;  // set when the node runs in float
  /// Multiply-accumulates of one run (Conv, ConvTranspose, Gemm, MatMul; 0 for others). Absent while unknown: a shape
  /// is not static, and count_macs has not been called.
  std::optional<int64_t> macs;
};

struct Coverage {
  std::vector<NodeCoverage> nodes;  // in the graph's order; those of bodies before their owner

  int64_t integer_nodes() const;
  int64_t total_macs() const;
  int64_t integer_macs() const;
  /// Shares in [0, 1]; 1 when there is nothing to count.
  double node_share() const;
  double mac_share() const;
};

/// Collected by the kernels as they run, from any thread.
class KernelChecks;
/// In the order of the program's steps.
std::vector<KernelCheck> results_of(const KernelChecks& checks);

/// One integer tensor of the lowered program.
struct QuantizedValue {
  std::string real;  // the float32 value it stands for: the graph output that its DequantizeLinear makes, if
                     // it makes one (what it quantizes has then lost that name); else its QuantizeLinear's input
  std::string node;  // label of the node that made the QuantizeLinear's input; "" for a graph input
  std::string op_type;
  quant::QuantParams params;
};

/// How to count one node's multiply-accumulates in a run: elements of `value` over `divisor` times `per_element`, times
/// the last dimension of `inner` if that is not empty.
struct MacCount {
  size_t node = 0;  // index into Coverage::nodes
  std::string value;
  int64_t per_element = 1;
  int64_t divisor = 1;  // of recurrent operators: elements of one step's input
  std::string inner;
};

struct LoweredModel {
  exec::Program program;
  Coverage coverage;
  std::map<std::string, QuantizedValue> quantized;  // by the name of the QuantizeLinear's output
  std::vector<MacCount> mac_counts;
  std::shared_ptr<KernelChecks> checks;  // with LowerOptions::check_kernels
};

/// Throws Error(kModel) naming the node for quantization parameters that can not be (axis outside the rank, scales of
/// the wrong length, not positive or not finite, zero point of another type), Error(kUnsupported) for a node that has
/// neither an integer nor a float kernel.
LoweredModel lower(const graph::Model& quantized, const LowerOptions& options = {});

/// Runs the feed once and fills in every node's MACs from the shapes as run.
void count_macs(LoweredModel& lowered, const exec::Feed& feed);

}  // namespace narrow::runtime
