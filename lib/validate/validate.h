// Compares a quantized model, on integer kernels, with the float model it was made from.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/progress.h"
#include "lib/base/reason.h"
#include "lib/exec/state.h"
#include "lib/graph/model.h"
#include "lib/runtime/lower.h"

namespace narrow::validate {

/// Evaluation data. `read` is called from several threads when there are several workers.
struct Samples {
  int64_t count = 0;
  std::function<exec::Feed(int64_t index)> read;  // complete; states as the float model hands them over
  std::optional<std::vector<int64_t>> labels;     // class of each sample; `count` of them
  std::vector<exec::StateLink> state;
  /// Where there is state: the feed without it. The models are compared over the samples in order, one at a time, each
  /// with a state of its own, which begins with zeros.
  std::function<exec::Feed(int64_t index)> read_stateless;
};

struct ValidateOptions {
  int workers = 1;  // samples run side by side; the numbers do not depend on it
  bool compare_layers = true;
  int64_t layer_samples = 16;  // samples the layers are compared on, spread evenly; 0: all
  /// Samples on which each integer kernel is compared with plain loops on its own inputs, spread evenly; slow.
  int64_t check_samples = 0;
  std::string label_output;  // output that holds the class scores; "": the first that looks like scores
  /// Timed turns of float and integer; 0 leaves speed out.
  int speed_turns = 5;
  int64_t speed_samples = 5;  // a turn runs one of them
  runtime::LowerOptions lower;
  Progress progress;
};

/// Metrics of `x^` (quantized) against `x` (float model), over all samples.
struct Metrics {
  double sqnr_db = 0;  // +infinity when equal
  double cosine = 1;
  double max_abs_error = 0;
};

/// Shares of the labelled samples, in [0, 1].
struct Accuracy {
  double top1_float = 0;
  double top1_quantized = 0;
  double top5_float = 0;
  double top5_quantized = 0;
};

struct OutputComparison {
  std::string name;
  Metrics metrics;         // of the comparable samples; NaN when there are samples, but none is
  int64_t elements = 0;    // of the comparable samples
  int64_t not_finite = 0;  // of these, NaN or infinite where the float model's are finite
  /// Samples left out because the output's size, which depends on the data, differs between the models.
  int64_t not_comparable = 0;
  /// Share of rows whose largest element along the last axis that is not of length 1 has the float model's index;
  /// absent unless the output looks like scores: float32, rank >= 2, that axis longer than 1, one row per sample; and
  /// is the label output or what makes_scores() knows by the graph.
  std::optional<double> agreement;
  std::optional<Accuracy> accuracy;  // of the label output, when there are labels
};

/// Integers of two runtimes for one value.
struct StepDifference {
  int64_t elements = 0;
  int64_t unequal = 0;
  int64_t most = 0;  // steps

  double identical() const {
    return elements == 0 ? 1.0 : 1.0 - static_cast<double>(unequal) / static_cast<double>(elements);
  }
};

/// One quantized activation: the float model's value against the dequantized integers that stand for it, by integer
/// kernels and by simulation: the quantized model in float32, each QuantizeLinear and DequantizeLinear by its formula.
struct LayerComparison {
  std::string value;
  std::string node;  // the node that makes it; "" for a graph input
  std::string op_type;
  Metrics metrics;
  std::optional<Metrics> simulated;          // absent where the simulation has no such value
  std::optional<StepDifference> difference;  // of integer kernels from simulation, earlier differences included
};

struct Speed {
  double float_samples_per_second = 0;  // medians over the turns
  double integer_samples_per_second = 0;
  double ratio = 0;  // median over the turns of integer against the float turn beside it; > 1: integer is faster
  int turns = 0;
  int threads = 0;
};

/// Nodes that float and integer program together compute in steps of their own.
struct LayerLatency {
  std::vector<std::string> nodes;  // labels, of both models
  std::string node;                // the one with most multiply-accumulates
  std::string op_type;
  int64_t macs = 0;
  double float_seconds = 0;  // of one run; 0: the float model has no such step
  double integer_seconds = 0;
  std::string float_implementation;  // of the costliest step
  std::string implementation;
  std::optional<Reason> reason;  // why it is not faster than in float

  /// Above 1: integers are faster; infinite where they leave nothing to do.
  double ratio() const { return integer_seconds > 0 ? float_seconds / integer_seconds : HUGE_VAL; }
};

struct Validation {
  int64_t samples = 0;
  std::vector<OutputComparison> outputs;  // in the model's order
  std::optional<DataType> half_type;      // float16 or bfloat16, where the quantized model makes values of it
  std::vector<LayerComparison> layers;    // in the order they are computed
  int64_t layer_samples = 0;
  runtime::Coverage coverage;
  std::string isa;                           // instruction set of the integer kernels, such as "avx512_core_vnni"
  bool saturates_pairs = false;              // u8 x s8 products saturate in int16 pairs on it
  std::vector<runtime::KernelCheck> checks;  // by kernel, when ValidateOptions::check_samples asks for them
  std::optional<Speed> speed;
  std::vector<LayerLatency> latencies;  // in the order they run, when there is speed
};

/// Throws Error(kUsage) for labels of the wrong number or an unknown label output, Error(kModel) when the two models'
/// inputs or outputs differ, Error(kData) from `read`.
Validation validate(const graph::Model& float_model, const graph::Model& quantized, const Samples& samples,
                    const ValidateOptions& options = {});

}  // namespace narrow::validate
