// Weights in blocks behind operators of com.microsoft.
#pragma once

#include <list>
#include <map>
#include <string>
#include <tuple>

#include "lib/graph/edit.h"
#include "lib/plan/plan.h"
#include "lib/rewrite/constant_writer.h"

namespace narrow::rewrite {

class BlockWriter {
 public:
  /// Both must outlive this.
  BlockWriter(graph::GraphEditor& editor, ConstantWriter& constants) : editor_(editor), constants_(constants) {}

  /// Makes a MatMul or Gemm of `graph` a MatMulNBits and a Gather a GatherBlockQuantized, with the same codes and
  /// scales that DequantizeLinear would have.
  void replace(onnx::GraphProto& graph, const plan::LayerPlan& layer, onnx::NodeProto& node);

  /// True if something was replaced.
  bool used() const { return used_; }

 private:
  /// Initializers of one packed matrix.
  struct Packed {
    quant::QuantParams params;
    std::string codes;
    std::string scales;
    std::string zero_points;  // "" where they are the operator's own
    int64_t rows = 0;
    int64_t columns = 0;
  };
  const Packed& packed(onnx::GraphProto& graph, const plan::WeightPlan& weight, bool transposed);
  void make_product(onnx::GraphProto& graph, const plan::WeightPlan& weight, onnx::NodeProto& node);
  void make_lookup(onnx::GraphProto& graph, const plan::WeightPlan& weight, onnx::NodeProto& node);

  graph::GraphEditor& editor_;
  ConstantWriter& constants_;
  // By graph, weight and whether it is transposed: what layers do not agree on is packed for each.
  std::map<std::tuple<const onnx::GraphProto*, std::string, bool>, std::list<Packed>> packed_;
  bool used_ = false;
};

}  // namespace narrow::rewrite
