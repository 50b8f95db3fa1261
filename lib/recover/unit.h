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

/// The same, which hands images over in the layout that they are made in: putting them in another order between one
/// unit and the next takes longer than much of the arithmetic.
class UnitProgram {
 public:
  UnitProgram(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
              std::vector<std::string> outputs, const ConstantOverrides& overrides);

  const std::vector<std::string>& input_names() const { return program_.input_names(); }
  /// Feeds may be in any layout. Results may share the workspace's storage.
  std::vector<Tensor> run(const exec::Feed& feed, Workspace& workspace) const;

 private:
  std::vector<std::string> outputs_;
  bool listens_ = false;  // to values of any layout; programs make their outputs plain
  exec::Program program_;
};

}  // namespace narrow::recover
