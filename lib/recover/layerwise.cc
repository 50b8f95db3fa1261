#include "lib/recover/layerwise.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/base/parallel.h"
#include "lib/base/spread.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/quant/quant_params.h"
#include "lib/recover/float_pass.h"
#include "lib/recover/layer_solver.h"
#include "lib/recover/ordered_samples.h"
#include "lib/recover/sample_values.h"
#include "lib/recover/unit.h"

namespace narrow::recover {
namespace {

constexpr double kUsualPull = 1;
constexpr int64_t kRowElements = int64_t{1} << 22;  // of rows that are gathered before they are summed

/// Weights in small floating-point formats or codebooks keep nearest rounding, and what is rounded at random stays so.
bool takes_integers(const plan::LayerPlan& layer) {
  if (!layer.weight || layer.weight->params.noise) return false;
  const quant::QuantType type = layer.weight->params.type;
  return type == quant::QuantType::kBinary || (!quant::row(type).is_float && !quant::needs_decoder(type));
}

class Layerwise {
 public:
  Layerwise(const graph::Model& model, const plan::PrecisionPlan& plan, const Samples& samples,
            const LayerwiseOptions& options)
      : model_(model),
        index_(model.graph()),
        samples_(samples),
        options_(options),
        result_{.model = model, .plan = plan, .layers = {}, .samples = samples.count},
        editor_(result_.model),
        units_(units_of(model, index_, plan)),
        values_(index_, result_.plan),
        workspaces_(static_cast<size_t>(std::max(options.workers, 1))),
        float_({.model = model_,
                .index = index_,
                .units = units_,
                .last_use = last_use_,
                .values = values_,
                .workspaces = workspaces_,
                .solver = [this](const Unit& unit) { return solver_of(unit); }}) {
    for (plan::LayerPlan& layer : result_.plan.layers) layers_[layer.node] = &layer;
    for (onnx::NodeProto& node : *result_.model.mutable_graph().mutable_node()) nodes_[node.name()] = &node;
    for (size_t i = 0; i < units_.size(); ++i) {
      for (const std::string& value : units_[i].reads(index_)) last_use_[value] = i;
    }
  }

  LayerwiseResult run() {
    read_samples();
    for (size_t i = 0; i < units_.size(); ++i) {
      if (options_.progress) {
        options_.progress("recover", static_cast<int64_t>(i), static_cast<int64_t>(units_.size()));
      }
      run_unit(units_[i], i);
    }
    editor_.finish();
    return std::move(result_);
  }

 private:
  void read_samples() {
    result_.samples = std::min(samples_.count, samples_that_fit());
    const std::vector<int64_t> chosen = spread_indices(samples_.count, result_.samples);
    values_.start(result_.samples);
    float_.start(result_.samples);
    for_each_in_order(
        result_.samples, options_.workers,
        [&](int, int64_t sample) { values_.add_feed(sample, samples_.read(chosen[static_cast<size_t>(sample)])); },
        [](int, int64_t) {});
  }

  /// By the sizes of one sample's values where they are alive.
  int64_t samples_that_fit() const {
    SampleValues one(index_, result_.plan);
    one.start(1);
    one.add_feed(0, samples_.read(0));
    int64_t most = 1;
    for (size_t i = 0; i < units_.size(); ++i) {
      const std::vector<std::string> outputs = float_.outputs_of(units_[i]);
      const UnitProgram program(model_, index_, units_[i], {.outputs = outputs}, {});
      Workspace workspace;
      one.keep_float(0, outputs, program.run(one.float_feed(0, program.input_names()), workspace));
      most = std::max(most, one.expected_bytes(0));
      drop_dead(one, i);
    }
    return std::max<int64_t>(options_.memory_bytes / most, 1);
  }

  void drop_dead(SampleValues& values, size_t unit) const {
    for (const std::string& value : units_[unit].reads(index_)) {
      if (last_use_.at(value) == unit) values.drop(value);
    }
  }

  /// A weight that several layers share keeps nearest rounding: integers for each of them would be a copy for each.
  bool is_solved(const plan::LayerPlan& layer) const {
    return takes_integers(layer) && plan::allows(layer, plan::RecoveryMethod::kRound) &&
           index_.uses(layer.weight->initializer).size() == 1;
  }

  std::unique_ptr<LayerSolver> solver_of(const Unit& unit) const {
    const plan::LayerPlan& layer = *layers_.at(unit.first().name());
    if (!is_solved(layer)) return nullptr;
    return LayerSolver::of(model_, index_, unit.first(), layer, input_scale(layer), options_.rows);
  }

  std::optional<float> input_scale(const plan::LayerPlan& layer) const {
    return layer.activations.empty() ? std::nullopt : std::optional(values_.scale(layer.activations.front()));
  }

  void run_unit(const Unit& unit, size_t at) {
    const std::vector<std::string> outputs = float_.outputs_of(unit);
    plan::LayerPlan& layer = *layers_.at(unit.first().name());
    auto [solver, rows] = float_.take(at);
    if (outputs.empty() && solver == nullptr) return drop_dead(values_, at);
    ConstantOverrides constants = values_.quantized_constants(model_, layer);
    const auto add = [&](const plan::WeightPlan& weight) {
      const Tensor real = model_.tensor(*index_.initializer(weight.initializer));
      constants[weight.initializer] = quant::dequantize(quant::quantize(real, weight.params), weight.params);
    };
    if (solver) add_rows(unit, std::move(rows), *solver);
    if (solver && !solver->has_moments()) {
      result_.overflowed.push_back(unit.first().name());
      solver = nullptr;
    }
    if (layer.weight && !solver) add(*layer.weight);
    for (const plan::WeightPlan& weight : layer.more_weights) add(weight);
    if (solver) {
      const LayerSolution solution = solver->solve({.ridge = pull_, .search = options_.search_pull});
      pull_ = solution.outcome.ridge;
      apply(solution, unit, layer, constants);
    }
    if (!outputs.empty()) run_quantized(unit, layer, outputs, constants);
    drop_dead(values_, at);
  }

  /// As many samples' rows at once as stay close to the processor; the sums do not depend on the threads.
  void add_rows(const Unit& unit, std::vector<Rows> rows, LayerSolver& solver) {
    const int64_t chunk = std::max<int64_t>(kRowElements / solver.input_elements(result_.samples), 2);
    for (int64_t first = 0; first < result_.samples; first += chunk) {
      const auto some = std::span(rows).subspan(static_cast<size_t>(first),
                                                static_cast<size_t>(std::min(chunk, result_.samples - first)));
      read_inputs(unit, first, some, solver);
      solver.add(first, some);
      for (Rows& added : some) added = {};
    }
  }

  /// Too short for threads of its own.
  void read_inputs(const Unit& unit, int64_t first, std::span<Rows> rows, const LayerSolver& solver) {
    std::atomic<size_t> next = 0;
    parallel_for(static_cast<int64_t>(workspaces_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t worker = begin; worker < end; ++worker) {
        for (size_t i = next++; i < rows.size(); i = next++) {
          const int64_t sample = first + static_cast<int64_t>(i);
          const Tensor x = values_.quantized(sample, unit.first().input(0), workspaces_[static_cast<size_t>(worker)]);
          solver.read_inputs(sample, result_.samples, x, rows[i]);
        }
      }
    });
  }

  void for_each_sample(int64_t count, const std::function<void(int worker, int64_t sample)>& body) const {
    for_each_in_order(count, options_.workers, body, [](int, int64_t) {});
  }

  void apply(const LayerSolution& solution, const Unit& unit, plan::LayerPlan& layer, ConstantOverrides& constants) {
    onnx::NodeProto& node = *nodes_.at(unit.first().name());
    constants[layer.weight->initializer] = solution.weight;
    layer.weight->params = solution.params;
    layer.weight->initializer = set_constant(node, layer.weight->input, solution.weight);
    if (solution.bias.defined()) {
      constants[unit.first().input(LayerSolution::kBiasInput)] = solution.bias;
      set_constant(node, LayerSolution::kBiasInput, solution.bias);
    }
    result_.layers.push_back(solution.outcome);
  }

  /// Constants that other nodes read too are copied, not changed under them.
  std::string set_constant(onnx::NodeProto& node, int slot, const Tensor& tensor) {
    const std::string name = node.input(slot);
    if (index_.uses(name).size() == 1 && !index_.is_output(name)) {
      editor_.replace_initializer(name, tensor);
    } else {
      node.set_input(slot, editor_.add_initializer(name, tensor));
    }
    return node.input(slot);
  }

  void run_quantized(const Unit& unit, const plan::LayerPlan& layer, const std::vector<std::string>& outputs,
                     const ConstantOverrides& constants) {
    const UnitProgram program(model_, index_, unit, {.outputs = outputs}, constants);
    const std::set<std::string> integers(layer.activations.begin(), layer.activations.end());
    for_each_sample(result_.samples, [&](int worker, int64_t sample) {
      Workspace& workspace = workspaces_[static_cast<size_t>(worker)];
      std::vector<Tensor> made =
          program.run(values_.quantized_feed(sample, program.input_names(), integers, workspace), workspace);
      values_.keep_quantized(sample, outputs, std::move(made));
    });
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const Samples& samples_;
  const LayerwiseOptions& options_;
  LayerwiseResult result_;
  graph::GraphEditor editor_;
  std::vector<Unit> units_;
  SampleValues values_;
  std::vector<Workspace> workspaces_;  // by worker
  double pull_ = kUsualPull;           // of the layer before
  std::unordered_map<std::string, plan::LayerPlan*> layers_;
  std::unordered_map<std::string, onnx::NodeProto*> nodes_;
  std::unordered_map<std::string, size_t> last_use_;  // value -> last unit that reads it
  FloatPass float_;
};

}  // namespace

LayerwiseResult recover_layerwise(const graph::Model& model, const plan::PrecisionPlan& plan, const Samples& samples,
                                  const LayerwiseOptions& options) {
  ensure(samples.count > 0, "recovery has samples");
  return Layerwise(model, plan, samples, options).run();
}

}  // namespace narrow::recover
