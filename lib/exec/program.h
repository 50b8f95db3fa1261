// A compiled graph: steps over numbered slots. The float executor and the integer runtime both produce one.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lib/exec/kernel.h"
#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::exec {

/// Input values by name: tensors, sequences, optionals (see DataType::kSequence, kEmptyOptional).
using Feed = std::map<std::string, Tensor>;

/// Told of values as they are computed. Called by the thread that runs.
class TensorListener {
 public:
  virtual ~TensorListener() = default;
  /// `tensor` may be in any layout. Its contents may be reused after the call: copy (to_layout, to_float32) to keep.
  virtual void on_value(const std::string& value, const Tensor& tensor) = 0;
};

struct StepInfo {
  std::string node;                // label of the node it computes (the last of a fused group)
  std::vector<std::string> fused;  // labels of all nodes it computes
  std::string op_type;
};

/// Told how long each step took, in seconds.
class StepTimer {
 public:
  virtual ~StepTimer() = default;
  virtual void on_step(const StepInfo& step, std::string_view implementation, double seconds) = 0;
};

struct RunOptions {
  TensorListener* listener = nullptr;  // hears of values inside the bodies of control flow too, once for each run
  StepTimer* timer = nullptr;          // of the program's own steps; what a body takes is its owner's time
};

/// Workspaces for the parts of a batch, kept from run to run.
class SpareWorkspaces;

/// Immutable; run() may be called from several threads at once, each with its own Workspace.
class Program {
 public:
  /// Outputs in the graph's order, plain layout. Throws Error(kData) when an input is missing, unknown, of another type
  /// or of a shape that does not fit the declared one (naming both); Error(kModel) with the node's name when a node
  /// can not compute, Error(kUnsupported) with it when it wants more memory than there is.
  std::vector<Tensor> run(const Feed& feed, Workspace& workspace, const RunOptions& options = {}) const;
  /// The same with the inputs in the order of input_names(), unchecked. An input that the caller gives away is computed
  /// into where possible.
  std::vector<Tensor> run_inputs(std::vector<Tensor> inputs, Workspace& workspace, const RunOptions& options) const;

  const std::vector<std::string>& input_names() const { return input_names_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  /// Declared type and shape of an input; -1 for free dimensions.
  DataType input_type(const std::string& name) const;
  const Shape* input_shape(const std::string& name) const;  // nullptr: rank unknown
  std::vector<StepInfo> steps() const;

 private:
  friend class ProgramBuilder;
  struct Input {
    std::string name;
    DataType type = DataType::kUndefined;
    bool has_shape = false;
    Shape shape;
    int slot = -1;
  };
  struct Step {
    StepInfo info;
    KernelPtr kernel;
    std::vector<int> inputs;     // slots; -1: absent
    std::vector<int> outputs;    // slots; -1: nobody needs it
    std::vector<bool> last_use;  // by input: no later step and no output reads the slot
    std::optional<Shape> shape;  // of the first input, where it is known; -1: as many samples as are given
  };

  void check_feed(const Feed& feed) const;
  /// Kernels are compiled before the first run, not between its steps: threads that wait there would sleep, and take
  /// longer to wake than small steps take to run.
  void prepare(const std::vector<Tensor>& inputs) const;
  std::vector<Tensor> run_steps(std::vector<Tensor> inputs, Workspace& workspace, const RunOptions& options) const;
  /// Into how many parts a batch is cut, one for each thread; 1: none.
  size_t parts_of(const std::vector<Tensor>& inputs, const RunOptions& options) const;
  std::vector<Tensor> run_parts(const std::vector<Tensor>& inputs, size_t parts, Workspace& workspace) const;
  void run_step(const Step& step, std::vector<Tensor>& slots, Workspace& workspace, const RunOptions& options) const;

  std::vector<Input> inputs_;
  std::vector<std::string> input_names_;
  std::vector<std::string> output_names_;
  std::vector<int> output_slots_;
  std::vector<Step> steps_;
  std::vector<std::string> slot_names_;     // value name of each slot
  std::vector<Tensor> constants_;           // by slot; undefined where not constant
  std::shared_ptr<SpareWorkspaces> spare_;  // where a batch may be cut: what the parts run in
  std::shared_ptr<std::atomic<bool>> prepared_ = std::make_shared<std::atomic<bool>>(false);
};

/// Puts a program together. Values are named; a name is one slot.
class ProgramBuilder {
 public:
  void add_input(const std::string& name, DataType type, const Shape* shape);
  void add_constant(const std::string& name, Tensor tensor);
  /// "" stands for an absent input or an unwanted output. `shape`: of the first input, as far as it is known.
  void add_step(StepInfo info, KernelPtr kernel, const std::vector<std::string>& inputs,
                const std::vector<std::string>& outputs, std::optional<Shape> shape = std::nullopt);
  void add_output(const std::string& name);
  /// Axis 0 of all inputs and outputs is that of samples, and no sample's results depend on the others. kParts: not by
  /// a bit, so that a batch may be cut into parts that run side by side, one thread each. kSamples: they run one
  /// by one, but for a listener or a timer, who see the whole batch and may see other last bits.
  enum class Apart { kParts, kSamples };
  void treat_samples_apart(Apart apart);
  /// Computes last uses. Throws Error(kModel) for a value that nothing makes.
  Program finish();

 private:
  int slot(const std::string& name);

  Program program_;
  std::map<std::string, int> slots_;
};

}  // namespace narrow::exec
