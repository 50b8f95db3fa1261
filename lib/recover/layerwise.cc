#include "lib/recover/layerwise.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "lib/base/error.h"
#include "lib/base/spread.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/quant/quant_params.h"
#include "lib/recover/layer_solver.h"
#include "lib/recover/ordered_samples.h"
#include "lib/recover/sample_values.h"
#include "lib/recover/unit.h"

namespace narrow::recover {
namespace {

constexpr double kUsualPull = 1;

/// Nodes in order, each with the clamp that folds into it.
std::vector<Unit> units_of(const graph::Model& model, const graph::GraphIndex& index, const plan::PrecisionPlan& plan) {
  std::set<std::string> folded;
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.decision == plan::Decision::kFold) folded.insert(layer.node);
  }
  std::vector<Unit> units;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (folded.contains(node.name())) continue;
    Unit unit{.nodes = {&node}};
    while (unit.last().output_size() == 1) {
      const auto uses = index.uses(unit.last().output(0));
      if (uses.size() != 1 || uses[0].input == graph::Use::kCaptured || !folded.contains(uses[0].node->name())) break;
      unit.nodes.push_back(uses[0].node);
    }
    units.push_back(std::move(unit));
  }
  return units;
}

/// Weights in small floating-point formats or codebooks keep nearest rounding, and what is rounded at random stays so.
bool takes_integers(const plan::LayerPlan& layer) {
  if (!layer.weight || layer.weight->params.noise) return false;
  const quant::QuantType type = layer.weight->params.type;
  return !quant::row(type).is_float && !quant::needs_decoder(type);
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
        values_(index_, result_.plan) {
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
      const std::vector<std::string> outputs = outputs_of(units_[i]);
      const UnitProgram program(model_, index_, units_[i], outputs, {});
      Workspace workspace;
      one.keep_float(0, outputs, program.run(one.float_feed(0, program.input_names()), workspace));
      most = std::max(most, one.expected_bytes(0));
      drop_dead(one, i);
    }
    return std::max<int64_t>(options_.memory_bytes / most, 1);
  }

  std::vector<std::string> outputs_of(const Unit& unit) const {
    std::vector<std::string> outputs;
    for (const std::string& output : unit.last().output()) {
      if (last_use_.contains(output)) outputs.push_back(output);
    }
    return outputs;
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

  std::optional<float> input_scale(const plan::LayerPlan& layer) const {
    return layer.activations.empty() ? std::nullopt : std::optional(values_.scale(layer.activations.front()));
  }

  void run_unit(const Unit& unit, size_t at) {
    const std::vector<std::string> outputs = outputs_of(unit);
    plan::LayerPlan& layer = *layers_.at(unit.first().name());
    auto solver = is_solved(layer)
                      ? LayerSolver::of(model_, index_, unit.first(), layer, input_scale(layer), options_.rows)
                      : nullptr;
    if (outputs.empty() && solver == nullptr) return drop_dead(values_, at);
    run_float(unit, outputs, solver.get());
    ConstantOverrides constants = values_.quantized_constants(model_, layer);
    const auto add = [&](const plan::WeightPlan& weight) {
      const Tensor real = model_.tensor(*index_.initializer(weight.initializer));
      constants[weight.initializer] = quant::dequantize(quant::quantize(real, weight.params), weight.params);
    };
    if (layer.weight) add(*layer.weight);
    for (const plan::WeightPlan& weight : layer.more_weights) add(weight);
    if (solver) {
      const LayerSolution solution = solver->solve({.ridge = pull_, .search = options_.search_pull});
      pull_ = solution.outcome.ridge;
      apply(solution, unit, layer, constants);
    }
    if (!outputs.empty()) run_quantized(unit, layer, outputs, constants);
    drop_dead(values_, at);
  }

  void run_float(const Unit& unit, const std::vector<std::string>& outputs, LayerSolver* solver) {
    std::vector<std::string> wanted = outputs;
    if (solver != nullptr && std::find(wanted.begin(), wanted.end(), unit.first().output(0)) == wanted.end()) {
      wanted.push_back(unit.first().output(0));
    }
    const UnitProgram program(model_, index_, unit, wanted, {});
    std::vector<Workspace> workspaces(static_cast<size_t>(std::max(options_.workers, 1)));
    std::vector<LayerRows> rows(workspaces.size());
    for_each_in_order(
        result_.samples, options_.workers,
        [&](int worker, int64_t sample) {
          std::vector<Tensor> made =
              program.run(values_.float_feed(sample, program.input_names()), workspaces[static_cast<size_t>(worker)]);
          if (solver != nullptr) {
            const auto at = std::find(wanted.begin(), wanted.end(), unit.first().output(0)) - wanted.begin();
            const Tensor x = values_.quantized(sample, unit.first().input(0));
            rows[static_cast<size_t>(worker)] = solver->read(sample, result_.samples, x, made[static_cast<size_t>(at)]);
          }
          made.resize(outputs.size());
          values_.keep_float(sample, outputs, std::move(made));
        },
        [&](int worker, int64_t sample) {
          if (solver != nullptr) solver->add(sample, rows[static_cast<size_t>(worker)]);
        });
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
    const UnitProgram program(model_, index_, unit, outputs, constants);
    std::vector<Workspace> workspaces(static_cast<size_t>(std::max(options_.workers, 1)));
    const std::set<std::string> integers(layer.activations.begin(), layer.activations.end());
    for_each_in_order(
        result_.samples, options_.workers,
        [&](int worker, int64_t sample) {
          std::vector<Tensor> made = program.run(values_.quantized_feed(sample, program.input_names(), integers),
                                                 workspaces[static_cast<size_t>(worker)]);
          values_.keep_quantized(sample, outputs, std::move(made));
        },
        [](int, int64_t) {});
  }

  const graph::Model& model_;
  graph::GraphIndex index_;
  const Samples& samples_;
  const LayerwiseOptions& options_;
  LayerwiseResult result_;
  graph::GraphEditor editor_;
  std::vector<Unit> units_;
  SampleValues values_;
  double pull_ = kUsualPull;  // of the layer before
  std::unordered_map<std::string, plan::LayerPlan*> layers_;
  std::unordered_map<std::string, onnx::NodeProto*> nodes_;
  std::unordered_map<std::string, size_t> last_use_;  // value -> last unit that reads it
};

}  // namespace

LayerwiseResult recover_layerwise(const graph::Model& model, const plan::PrecisionPlan& plan, const Samples& samples,
                                  const LayerwiseOptions& options) {
  ensure(samples.count > 0, "recovery has samples");
  return Layerwise(model, plan, samples, options).run();
}

}  // namespace narrow::recover
