// Elementwise nodes that together are a function of one 8-bit tensor: whatever lies between its integers and the
// integers they end in is a table of 256 entries.
//
//   x_q -> DQ -> x -> Div -> Erf -> Add ─┐
//                └──────────────────────Mul -> Q -> y_q       becomes      x_q -> table -> y_q
//
// Inner quantizations are part of the function. Its values are computed by the kernels that the nodes would run on, so
// the integers are the same.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/byte_table.h"

namespace narrow::runtime {

class TableIslands {
 public:
  explicit TableIslands(const LowerContext& context) : context_(context) {}

  /// To be called for every node in the graph's order, with all constants folded.
  void visit(const onnx::NodeProto& node);

  /// Integers as a table of other integers.
  struct Function {
    std::string root;
    Table table{};
  };
  /// nullptr: the integers are not known to be a function of others.
  const Function* function(const std::string& integer) const;

  /// A real value at each of the root's 256 bytes.
  struct Samples {
    std::string root;
    Tensor real;
  };
  /// nullptr: the real value is not known to be a function of integers.
  const Samples* samples(const std::string& value) const;

  bool contains(const onnx::NodeProto& node) const { return nodes_.contains(&node); }

 private:
  void visit_quantize(const onnx::NodeProto& node);
  void visit_dequantize(const onnx::NodeProto& node);
  bool visit_integer_binary(const onnx::NodeProto& node);
  void visit_elementwise(const onnx::NodeProto& node);
  /// The function, or the identity.
  Function own_or_identity(const std::string& integer) const;

  const LowerContext& context_;
  std::map<std::string, Samples> samples_;
  std::map<std::string, Function> functions_;
  std::set<const onnx::NodeProto*> nodes_;
};

}  // namespace narrow::runtime
