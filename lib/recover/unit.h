// A few nodes of a graph as a program of their own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"

namespace narrow::recover {

/// One node, or one with the clamp behind it that is its result's only reader.
struct Unit {
  std::vector<const onnx::NodeProto*> nodes;  // in order

  const onnx::NodeProto& first() const { return *nodes.front(); }
  const onnx::NodeProto& last() const { return *nodes.back(); }
  /// What it reads from outside, without constants, in order of first use.
  std::vector<std::string> reads(const graph::GraphIndex& index) const;
};

/// Constants in place of the model's own.
using ConstantOverrides = std::map<std::string, Tensor>;

/// The unit as a program that makes `outputs`.
exec::Program compile_unit(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                           const std::vector<std::string>& outputs, const ConstantOverrides& overrides);

}  // namespace narrow::recover
