#include "lib/validate/validate.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <set>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/spread.h"
#include "lib/base/suggest.h"
#include "lib/exec/float_program.h"
#include "lib/graph/attributes.h"
#include "lib/graph/traverse.h"
#include "lib/runtime/instruction_set.h"
#include "lib/tensor/metrics.h"
#include "lib/validate/compare.h"
#include "lib/validate/labels.h"
#include "lib/validate/latency.h"
#include "lib/validate/layers.h"
#include "lib/validate/scores.h"
#include "lib/validate/speed.h"

namespace narrow::validate {
namespace {

constexpr std::string_view kStage = "validate";

void check_models(const exec::Program& float_program, const exec::Program& quantized) {
  const auto sorted = [](std::vector<std::string> names) {
    std::sort(names.begin(), names.end());
    return names;
  };
  if (sorted(float_program.input_names()) != sorted(quantized.input_names())) {
    throw Error(ErrorKind::kModel, "the quantized model's inputs ({}) are not the float model's ({})",
                fmt::join(quantized.input_names(), ", "), fmt::join(float_program.input_names(), ", "));
  }
  if (float_program.output_names() != quantized.output_names()) {
    throw Error(ErrorKind::kModel, "the quantized model's outputs ({}) are not the float model's ({})",
                fmt::join(quantized.output_names(), ", "), fmt::join(float_program.output_names(), ", "));
  }
}

// `count` indices spread evenly over [0, size); all of them if `count` is 0.
std::set<int64_t> spread(int64_t size, int64_t count) {
  const std::vector<int64_t> indices = spread_indices(size, count <= 0 ? size : count);
  return {indices.begin(), indices.end()};
}

// By its casts: 16-bit nodes stand between them, because inputs and outputs keep their types.
std::optional<DataType> half_type_of(const graph::Model& model) {
  std::optional<DataType> half;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    if (node.op_type() != "Cast") return;
    const auto to = static_cast<DataType>(graph::int_attribute(node, "to", 0));
    if (to == DataType::kFloat16 || (to == DataType::kBfloat16 && !half)) half = to;
  });
  return half;
}

// What one sample contributes.
struct SampleResult {
  std::vector<std::optional<ErrorStatistics>> outputs;  // absent: not comparable
  std::vector<std::optional<Agreement>> agreements;
  std::vector<LayerErrors> layers;
  LabelHits hits;
};

class Comparison {
 public:
  Comparison(const graph::Model& float_model, const graph::Model& quantized, const Samples& samples,
             const ValidateOptions& options)
      : quantized_(quantized),
        samples_(samples),
        options_(options),
        lowered_(runtime::lower(quantized, options.lower)),
        float_program_(exec::compile_float(float_model)) {
    check_models(float_program_, lowered_.program);
    for (const std::string& name : float_program_.output_names()) {
      makes_scores_.push_back(makes_scores(float_model, name));
    }
    check_labels();
    // Dynamic products and stored weights quantize no activation that could be compared.
    if (!options.compare_layers || lowered_.quantized.empty()) return;
    layers_.emplace(float_model, quantized, lowered_);
    layer_samples_ = spread(samples_.count, options_.layer_samples);
  }

  Validation run() {
    count_macs();
    std::vector<SampleResult> results(static_cast<size_t>(samples_.count));
    const int64_t most = samples_.state.empty() ? std::max<int64_t>(samples_.count, 1) : 1;
    const int workers = static_cast<int>(std::clamp<int64_t>(options_.workers, 1, most));
    if (workers == 1) {
      compare_share(0, 1, results);
    } else {
      run_workers(workers, [&](int worker) { compare_share(worker, workers, results); });
    }
    Validation validation = sum(results);
    if (options_.check_samples > 0) validation.checks = check_kernels();
    if (options_.speed_turns > 0 && samples_.count > 0) time_programs(validation);
    return validation;
  }

 private:
  void check_labels() {
    if (samples_.labels && static_cast<int64_t>(samples_.labels->size()) != samples_.count) {
      throw Error(ErrorKind::kUsage, "{} labels for {} samples", samples_.labels->size(), samples_.count);
    }
    const auto& names = float_program_.output_names();
    const bool known = std::find(names.begin(), names.end(), options_.label_output) != names.end();
    if (!options_.label_output.empty() && !known) {
      throw Error(ErrorKind::kUsage, "the model has no output '{}'{}", options_.label_output,
                  did_you_mean(options_.label_output, names));
    }
  }

  std::vector<runtime::KernelCheck> check_kernels() const {
    runtime::LowerOptions options = options_.lower;
    options.check_kernels = true;
    const runtime::LoweredModel checked = runtime::lower(quantized_, options);
    Workspace workspace;
    for (const int64_t index : spread(samples_.count, options_.check_samples)) {
      check_interruption();
      checked.program.run(samples_.read(index), workspace);
    }
    return runtime::results_of(*checked.checks);
  }

  void count_macs() {
    if (samples_.count > 0) runtime::count_macs(lowered_, first_feed(0));
  }

  // A sample as if it were the first.
  exec::Feed first_feed(int64_t index) const {
    return exec::State(float_program_, samples_.state).complete(read_stateless(index));
  }

  exec::Feed read_stateless(int64_t index) const {
    return samples_.state.empty() ? samples_.read(index) : samples_.read_stateless(index);
  }

  // What each model remembers of the samples before.
  struct Memory {
    exec::State reference;
    exec::State actual;
  };

  void compare_share(int worker, int workers, std::vector<SampleResult>& results) {
    Workspace workspace;
    Memory memory{.reference = exec::State(float_program_, samples_.state),
                  .actual = exec::State(lowered_.program, samples_.state)};
    for (int64_t i = worker; i < samples_.count; i += workers) {
      check_interruption();
      results[static_cast<size_t>(i)] = compare_sample(i, memory, workspace);
      note_progress();
    }
  }

  void note_progress() {
    const std::lock_guard lock(progress_mutex_);
    ++done_;
    if (options_.progress) options_.progress(kStage, done_, samples_.count);
  }

  SampleResult compare_sample(int64_t index, Memory& memory, Workspace& workspace) const {
    const exec::Feed feed = read_stateless(index);
    SampleResult result;
    std::vector<Tensor> reference;
    std::vector<Tensor> actual;
    if (layer_samples_.contains(index)) {
      LayerRun run = layers_->run(memory.reference.complete(feed), memory.actual.complete(feed), workspace);
      reference = std::move(run.float_outputs);
      actual = std::move(run.integer_outputs);
      result.layers = std::move(run.layers);
    } else {
      reference = float_program_.run(memory.reference.complete(feed), workspace);
      actual = lowered_.program.run(memory.actual.complete(feed), workspace);
    }
    memory.reference.update(reference);
    memory.actual.update(actual);
    for (size_t i = 0; i < reference.size(); ++i) {
      const std::string& name = float_program_.output_names()[i];
      result.outputs.push_back(compare(name, reference[i], actual[i]));
      result.agreements.push_back(agreement(reference[i], actual[i]));
    }
    if (samples_.labels) add_label(reference, actual, (*samples_.labels)[static_cast<size_t>(index)], result);
    return result;
  }

  int label_output(const std::vector<Tensor>& outputs) const {
    for (size_t i = 0; i < outputs.size(); ++i) {
      const bool chosen = float_program_.output_names()[i] == options_.label_output;
      if (chosen || (options_.label_output.empty() && score_rows(outputs[i]))) return static_cast<int>(i);
    }
    throw Error(ErrorKind::kUsage, "there are labels, but no output looks like class scores");
  }

  void add_label(const std::vector<Tensor>& reference, const std::vector<Tensor>& actual, int64_t label,
                 SampleResult& result) const {
    const auto at = static_cast<size_t>(label_output(reference));
    result.hits.add(reference[at], actual[at], label);
    label_output_ = static_cast<int>(at);
  }

  Validation sum(const std::vector<SampleResult>& results) const {
    Validation validation{.samples = samples_.count,
                          .outputs = sum_outputs(results),
                          .half_type = half_type_of(quantized_),
                          .layers = sum_layers(results),
                          .layer_samples = options_.compare_layers ? static_cast<int64_t>(layer_samples_.size()) : 0,
                          .coverage = lowered_.coverage,
                          .isa = runtime::instruction_set(),
                          .saturates_pairs = runtime::saturates_pairs(),
                          .checks = {},
                          .speed = std::nullopt,
                          .latencies = {}};
    if (!samples_.labels || samples_.count == 0) return validation;
    LabelHits hits;
    for (const SampleResult& result : results) hits.add(result.hits);
    validation.outputs[static_cast<size_t>(label_output_)].accuracy = hits.accuracy();
    return validation;
  }

  std::vector<OutputComparison> sum_outputs(const std::vector<SampleResult>& results) const {
    std::vector<OutputComparison> outputs;
    for (size_t i = 0; i < float_program_.output_names().size(); ++i) {
      ErrorStatistics statistics;
      Agreement agreed;
      int64_t not_comparable = 0;
      const bool labelled = samples_.labels && label_output_ == static_cast<int>(i);
      bool all_scores = !results.empty() && (labelled || makes_scores_[i]);
      for (const SampleResult& result : results) {
        if (!result.outputs[i]) {
          ++not_comparable;
          continue;
        }
        statistics.add(*result.outputs[i]);
        all_scores = all_scores && result.agreements[i].has_value();
        if (!result.agreements[i]) continue;
        agreed.rows += result.agreements[i]->rows;
        agreed.equal += result.agreements[i]->equal;
      }
      OutputComparison output{.name = float_program_.output_names()[i],
                              .metrics = metrics_of(statistics),
                              .elements = statistics.count(),
                              .not_finite = statistics.not_finite(),
                              .not_comparable = not_comparable,
                              .agreement = {},
                              .accuracy = {}};
      const bool none = not_comparable > 0 && not_comparable == static_cast<int64_t>(results.size());
      // Nothing compared is not perfect.
      if (none) output.metrics = {std::nan(""), std::nan(""), std::nan("")};
      if (all_scores && agreed.rows > 0)
        output.agreement = static_cast<double>(agreed.equal) / static_cast<double>(agreed.rows);
      outputs.push_back(std::move(output));
    }
    return outputs;
  }

  std::vector<LayerComparison> sum_layers(const std::vector<SampleResult>& results) const {
    if (!layers_) return {};
    std::vector<LayerErrors> sums;
    for (const SampleResult& result : results) add_errors(result.layers, sums);
    return layers_->summarize(sums);
  }

  void time_programs(Validation& validation) const {
    std::vector<exec::Feed> feeds;
    for (const int64_t index : spread(samples_.count, std::max<int64_t>(options_.speed_samples, 1))) {
      feeds.push_back(first_feed(index));
    }
    TimedRuns float_runs(float_program_, feeds);
    TimedRuns integer_runs(lowered_.program, feeds);
    validation.speed = measure_speed(float_runs, integer_runs, options_.speed_turns);
    const StepTimes times = time_steps(float_program_, lowered_.program, feeds, options_.speed_turns);
    validation.latencies = layer_latencies(times, lowered_);
  }

  const graph::Model& quantized_;
  const Samples& samples_;
  const ValidateOptions& options_;
  runtime::LoweredModel lowered_;
  exec::Program float_program_;
  std::vector<bool> makes_scores_;  // by output
  std::optional<LayerComparer> layers_;
  std::set<int64_t> layer_samples_;
  std::mutex progress_mutex_;
  int64_t done_ = 0;
  mutable std::atomic<int> label_output_ = 0;  // the same for every sample
};

}  // namespace

Validation validate(const graph::Model& float_model, const graph::Model& quantized, const Samples& samples,
                    const ValidateOptions& options) {
  return Comparison(float_model, quantized, samples, options).run();
}

}  // namespace narrow::validate
