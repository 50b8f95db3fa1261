// Products whose activations are quantized as the model runs, by their own extremes.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lib/graph/edit.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/constant_writer.h"

namespace narrow::rewrite {

class DynamicWriter {
 public:
  /// Both must outlive this.
  DynamicWriter(graph::GraphEditor& editor, ConstantWriter& constants) : editor_(editor), constants_(constants) {}

  /// Replaces a Conv, Gemm or MatMul of `graph`, the main one or a body; returns the node that now makes its result.
  ///
  /// Before:  y = MatMul (x, W)
  /// After:   x_q, s, z = DynamicQuantizeLinear (x);  sum = MatMulInteger (x_q, W_q, z);  y = Cast (sum) * (s * s_W)
  ///
  /// A bias is added behind. Readers of one x share its DynamicQuantizeLinear, readers of one W its codes. These are
  /// the patterns that stock runtimes fuse into one kernel.
  onnx::NodeProto& replace(onnx::GraphProto& graph, const plan::LayerPlan& layer, const onnx::NodeProto& node);

 private:
  struct Quantized {
    std::string integers;
    std::string scale;
    std::string zero_point;
  };
  struct Turned {
    quant::QuantParams params;
    std::string codes;
  };
  /// Codes of a weight that is transposed, once for all layers of the graph that agree on the parameters.
  std::string turned_codes(onnx::GraphProto& graph, const std::string& weight, const Tensor& turned,
                           const quant::QuantParams& params);
  const Quantized& quantize(const onnx::GraphProto& graph, const std::string& value);

  graph::GraphEditor& editor_;
  ConstantWriter& constants_;
  std::map<std::pair<const onnx::GraphProto*, std::string>, Quantized> quantized_;
  std::map<std::pair<const onnx::GraphProto*, std::string>, std::vector<Turned>> turned_;
};

}  // namespace narrow::rewrite
