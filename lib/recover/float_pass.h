// The float model ahead of the quantized one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/recover/layer_solver.h"
#include "lib/recover/sample_values.h"
#include "lib/recover/unit.h"
#include "lib/tensor/workspace.h"

namespace narrow::recover {

/// Units are run in stretches, sample after sample, so that what is inside never leaves the processor's caches: of what
/// they make only the rows that solvers want, and the values that later stretches read, stay.
class FloatPass {
 public:
  struct Context {
    const graph::Model& model;
    const graph::GraphIndex& index;
    const std::vector<Unit>& units;
    const std::unordered_map<std::string, size_t>& last_use;  // value -> last unit that reads it
    SampleValues& values;
    std::vector<Workspace>& workspaces;  // by worker
    /// Null where the unit is not solved.
    std::function<std::unique_ptr<LayerSolver>(const Unit& unit)> solver;
  };
  explicit FloatPass(Context context) : at_(std::move(context)) {}

  /// Before the first unit.
  void start(int64_t samples);
  /// Outputs that somebody reads.
  std::vector<std::string> outputs_of(const Unit& unit) const;

  struct Solvable {
    std::unique_ptr<LayerSolver> solver;  // null where the unit is not solved
    std::vector<Rows> rows;               // by sample; of outputs alone
  };
  /// Each unit once, in order. Runs a stretch where the unit has not been run.
  Solvable take(size_t unit);

 private:
  void run_stretch();
  UnitProgram::Values wanted(size_t begin, std::vector<size_t>& watchers) const;
  void drop_dead(size_t begin);

  Context at_;
  int64_t samples_ = 0;
  size_t end_ = 0;  // units before it have been run
  std::vector<Solvable> solvable_;
};

}  // namespace narrow::recover
