// A few nodes of a graph as a program of their own.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "lib/exec/program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/plan/plan.h"

namespace narrow::recover {

/// One node, or one with the clamp behind it that is its result's only reader; or several of these in a row.
struct Unit {
  std::vector<const onnx::NodeProto*> nodes;  // in order

  const onnx::NodeProto& first() const { return *nodes.front(); }
  const onnx::NodeProto& last() const { return *nodes.back(); }
  /// What it reads from outside, without constants, in order of first use.
  std::vector<std::string> reads(const graph::GraphIndex& index) const;
};

/// Nodes in order, each with the clamp that folds into it.
std::vector<Unit> units_of(const graph::Model& model, const graph::GraphIndex& index, const plan::PrecisionPlan& plan);

/// Constants in place of the model's own.
using ConstantOverrides = std::map<std::string, Tensor>;

/// The unit as a program that makes `outputs`.
exec::Program compile_unit(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit,
                           const std::vector<std::string>& outputs, const ConstantOverrides& overrides);

/// Some values as they are made.
using Watch = std::function<void(size_t index, const Tensor& tensor)>;

/// The same for several units, which hands images over in the layout that they are made in: putting them in another
/// order between one program and the next takes longer than much of the arithmetic.
class UnitProgram {
 public:
  struct Values {
    std::vector<std::string> outputs;
    std::vector<std::string> watched = {};  // float32; constants are not told of
  };

  UnitProgram(const graph::Model& model, const graph::GraphIndex& index, const Unit& unit, Values values,
              const ConstantOverrides& overrides);

  const std::vector<std::string>& input_names() const { return program_.input_names(); }
  /// Feeds may be in any layout. Results may share the workspace's storage.
  std::vector<Tensor> run(const exec::Feed& feed, Workspace& workspace, const Watch& watch = {}) const;

 private:
  Values values_;
  std::vector<bool> listens_;  // for each output: to values of any layout; programs make their outputs plain
  exec::Program program_;
};

}  // namespace narrow::recover
