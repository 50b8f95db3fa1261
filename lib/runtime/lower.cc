#include "lib/runtime/lower.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/exec/float_program.h"
#include "lib/graph/local_functions.h"
#include "lib/graph/needed.h"
#include "lib/runtime/integer_step.h"
#include "lib/runtime/kernels/checked_kernel.h"
#include "lib/runtime/kernels/linear_kernels.h"
#include "lib/runtime/mac_count.h"
#include "lib/runtime/planned_steps.h"
#include "lib/runtime/qoperator.h"
#include "lib/runtime/sample_graph.h"
#include "lib/runtime/spelled_gelu.h"
#include "lib/runtime/table_islands.h"
#include "lib/tensor/wrong_element_type.h"

namespace narrow::runtime {
namespace {

exec::StepInfo info_of(const onnx::NodeProto& node) {
  return {.node = graph::node_label(node), .fused = {graph::node_label(node)}, .op_type = node.op_type()};
}

exec::StepInfo info_of(const std::vector<const onnx::NodeProto*>& nodes, const std::string& op_type) {
  exec::StepInfo info{.node = graph::node_label(*nodes.back()), .fused = {}, .op_type = op_type};
  for (const onnx::NodeProto* node : nodes) info.fused.push_back(graph::node_label(*node));
  return info;
}

// First plans a step for each node, then keeps those that the outputs need. Bodies are lowered as their owners are
// planned; `result` is that of the whole model.
class Lowering {
 public:
  Lowering(const exec::GraphScope& scope, const LowerOptions& options, LoweredModel& result)
      : graph_(*scope.graph),
        captured_(scope.captured),
        options_(options),
        quant_(*scope.model, graph_, scope.known),
        constants_(*scope.model, graph_, scope.known),
        context_(quant_, constants_, options.kernels),
        reference_(quant_, constants_, KernelChoice::kReference),
        islands_(context_),
        result_(result) {
    context_.compile_body = [this](const exec::GraphScope& body) { return Lowering(body, options_, result_).lower(); };
    reference_.compile_body = context_.compile_body;
  }
  Lowering(const Lowering&) = delete;
  Lowering& operator=(const Lowering&) = delete;
  ~Lowering() = default;

  exec::Program lower() {
    // What nothing needs is not run, so it need not be possible.
    const std::unordered_set<std::string> needed = graph::needed_values(graph_);
    std::vector<const onnx::NodeProto*> nodes;
    for (const onnx::NodeProto& node : graph_.node()) {
      if (graph::makes_any(node, needed)) nodes.push_back(&node);
    }
    for (const onnx::NodeProto* node : nodes) fold(*node);
    if (options_.kernels == KernelChoice::kFast) {
      for (const onnx::NodeProto* node : nodes) islands_.visit(*node);
    }
    for (const onnx::NodeProto* node : nodes) plan(*node);
    // A group stands where its first node stood, but may read what a later node of it reads.
    steps_ = sorted(std::move(steps_));
    keep_needed();
    return build();
  }

 private:
  void fold(const onnx::NodeProto& node) {
    if (quant_.linear(node) != nullptr) return;
    if (constants_.can_fold(node)) {
      constants_.fold(node, context_.opset(node));
      constants_.forget_inputs(node, quant_.index(), {});
    } else if (auto moved = move_constant(context_, node)) {
      note_moved(node, *std::move(moved));
    } else {
      return;
    }
    folded_.insert(&node);
  }

  void plan(const onnx::NodeProto& node) {
    if (folded_.contains(&node)) return;
    const Quantized* linear = quant_.linear(node);
    if (linear != nullptr && is_quantize(node)) return plan_quantize(node, *linear);
    if (linear != nullptr && is_dequantize(node)) return plan_dequantize(node, *linear);
    plan_compute(node);
  }

  // The name under which `linear` is a graph output, if its DequantizeLinear makes one; nullptr otherwise.
  const std::string* output_of(const Quantized& linear) const {
    for (const onnx::ValueInfoProto& output : graph_.output()) {
      const Quantized* source = quant_.source(output.name());
      if (source != nullptr && source->integer == linear.integer && source->params == linear.params)
        return &output.name();
    }
    return nullptr;
  }

  void note_quantized(const onnx::NodeProto& quantize, const Quantized& linear) {
    const std::string& real = quantize.input(0);
    const onnx::NodeProto* producer = quant_.index().producer(real);
    QuantizedValue value{.real = real, .node = {}, .op_type = {}, .params = linear.params};
    if (producer != nullptr) {
      value.node = graph::node_label(*producer);
      value.op_type = producer->op_type();
    }
    if (const std::string* output = output_of(linear)) value.real = *output;
    quantized_.emplace(linear.integer, std::move(value));
  }

  void plan_quantize(const onnx::NodeProto& node, const Quantized& linear) {
    if (linear.integer != node.output(0) || quant_.constant(node.output(0)) != nullptr) return;
    note_quantized(node, linear);
    if (made_.contains(linear.integer)) return;
    if (islands_.function(linear.integer) != nullptr) {
      steps_.push_back({info_of(node), table_of(linear), {islands_.function(linear.integer)->root}, {linear.integer}});
      return;
    }
    const Quantized* source = quant_.source(node.input(0));
    // A group that ends in integers leaves no real value for a second name of the same integers.
    const Quantized* twin = quant_.target(node.input(0));
    if (twin != nullptr && made_.contains(twin->integer)) source = twin;
    if (source != nullptr && source->per_tensor8() && linear.per_tensor8()) {
      const Affine8 wanted = affine_of(linear);
      steps_.push_back({info_of(node),
                        make_table(make_requantize_table(affine_of(*source), wanted), wanted.storage()),
                        {source->integer},
                        {linear.integer}});
      return;
    }
    steps_.push_back(
        {info_of(node), make_quantize(linear.params, options_.kernels), {node.input(0)}, {linear.integer}});
  }

  exec::KernelPtr table_of(const Quantized& target) const {
    return make_table(islands_.function(target.integer)->table, affine_of(target).storage());
  }

  void plan_dequantize(const onnx::NodeProto& node, const Quantized& linear) {
    if (quant_.constant(linear.integer) != nullptr) return;
    steps_.push_back(
        {info_of(node), make_dequantize(linear.params, options_.kernels), {linear.integer}, {node.output(0)}});
  }

  void note_moved(const onnx::NodeProto& node, MovedConstant moved) {
    const std::string name = node.output(0) + "/integers";
    quant_.add_constant(name, std::move(moved.integers));
    quant_.add_source(node.output(0), {.integer = name, .params = std::move(moved.params)});
  }

  void plan_compute(const onnx::NodeProto& node) {
    const LowerNode lower_node = find_lowering(node);
    GroupOrReason made = lower_node == nullptr ? GroupOrReason(Reason{ReasonCode::kNoIntegerKernel, node.op_type()})
                                               : try_lower(lower_node, node);
    const bool plain_op = !is_quantize(node) && !is_dequantize(node);
    if (auto* group = std::get_if<IntegerGroup>(&made)) return plan_group(node, std::move(*group));
    std::optional<Reason> reason = std::get<Reason>(std::move(made));
    if (!is_float(node)) reason = {ReasonCode::kNotFloat, {}};
    if (moves_integers(node)) {
      reason.reset();
      quant_.add_type(node.output(0), quant_.type(node.input(0)));
    }
    if (plain_op && reason && plan_gelu(node, *reason)) return;
    plan_float(node);
    if (plain_op) cover(node, reason, {});
  }

  // True if `node` begins one and all of it runs in one step.
  bool plan_gelu(const onnx::NodeProto& node, const Reason& reason) {
    planned_.insert(&node);
    const bool wanted = options_.kernels == KernelChoice::kFast;
    const auto parts = wanted ? spelled_gelu(context_, constants_, node) : std::vector<const onnx::NodeProto*>{};
    const bool free = std::all_of(parts.begin(), parts.end(), [&](const onnx::NodeProto* part) {
      return (part == &node || !planned_.contains(part)) && !folded_.contains(part) && !islands_.contains(*part);
    });
    if (parts.empty() || !free) return false;
    folded_.insert(parts.begin(), parts.end());
    for (const onnx::NodeProto* part : parts) cover(*part, reason, {});
    const std::string& from = quant_.canonical(node.input(0));
    const std::string& real = parts.back()->output(0);
    if (const Quantized* target = quant_.target(real); target != nullptr && target->per_tensor8()) {
      made_.insert(target->integer);
      steps_.push_back({info_of(parts, "Gelu"), make_gelu(affine_of(*target)), {from}, {target->integer}});
    } else {
      steps_.push_back({info_of(parts, "Gelu"), make_spelled_gelu(context_, parts), {from}, {real}});
    }
    return true;
  }

  // What oneDNN refuses runs on float kernels, with its reason.
  GroupOrReason try_lower(LowerNode lower_node, const onnx::NodeProto& node) const {
    try {
      GroupOrReason made = reading_operands([&] { return lower_node(context_, node); });
      auto* group = std::get_if<IntegerGroup>(&made);
      if (group != nullptr && result_.checks) add_oracle(lower_node(reference_, node), node, *group);
      return made;
    } catch (Error& error) {
      if (error.kind() == ErrorKind::kUnsupported) return Reason{ReasonCode::kNoIntegerKernel, error.what()};
      error.add_context(fmt::format("node '{}' ({})", graph::node_label(node), node.op_type()));
      throw;
    }
  }

  // A node that takes 8-bit integers as they are, such as a Reshape between QLinear operators.
  bool moves_integers(const onnx::NodeProto& node) const {
    if (node.input_size() == 0 || node.output_size() == 0 || !moves_elements(node)) return false;
    const DataType type = quant_.index().type(node.output(0)).type;
    return is_byte(quant_.type(node.input(0))) && (type == DataType::kUndefined || is_byte(type));
  }

  // Steps whose kernels have reference loops are run beside them.
  void add_oracle(GroupOrReason made, const onnx::NodeProto& node, IntegerGroup& group) const {
    auto* reference = std::get_if<IntegerGroup>(&made);
    if (reference == nullptr || reference->steps.size() != group.steps.size()) return;
    for (size_t i = 0; i < group.steps.size(); ++i) {
      IntegerStep& step = group.steps[i];
      IntegerStep& oracle = reference->steps[i];
      if (oracle.kernel->implementation() == step.kernel->implementation()) continue;
      const size_t row = result_.checks->add_row(graph::node_label(node), node.op_type());
      step.kernel = make_checked(std::move(step.kernel), std::move(oracle.kernel), result_.checks, row);
    }
  }

  bool is_float(const onnx::NodeProto& node) const {
    const DataType type = node.output_size() > 0 ? quant_.index().type(node.output(0)).type : DataType::kUndefined;
    return type == DataType::kUndefined || type == DataType::kFloat32;
  }

  void plan_group(const onnx::NodeProto& node, IntegerGroup group) {
    std::map<std::string, std::string> renamed;
    const IntegerStep& first = group.steps.front();
    if (group.steps.size() == 1 && !first.outputs.empty()) renamed[node.output(0)] = first.outputs.front();
    for (DerivedSource& derived : group.sources) quant_.add_source(derived.real, std::move(derived.integers));
    for (auto& [name, tensor] : group.constants) own_constants_[name] = std::move(tensor);
    use_deeper_root(node, group);
    const exec::StepInfo info = info_of(group.nodes, node.op_type());
    folded_.insert(group.nodes.begin(), group.nodes.end());
    for (IntegerStep& step : group.steps) {
      made_.insert(step.outputs.begin(), step.outputs.end());
      steps_.push_back({info, std::move(step.kernel), std::move(step.inputs), std::move(step.outputs)});
    }
    if (node.op_type() == "DynamicQuantizeLinear") return;
    for (const onnx::NodeProto* member : group.nodes) cover(*member, group.float_rest, renamed);
  }

  // An elementwise group inside an island begins where the island does.
  void use_deeper_root(const onnx::NodeProto& node, IntegerGroup& group) const {
    if (!is_elementwise(node)) return;
    const Quantized* target = quant_.target(group.nodes.back()->output(0));
    if (target == nullptr || islands_.function(target->integer) == nullptr) return;
    group.steps.clear();
    group.steps.push_back({table_of(*target), {islands_.function(target->integer)->root}, {target->integer}});
  }

  void plan_float(const onnx::NodeProto& node) {
    if (islands_.contains(node)) return plan_island(node);
    FloatKernel made = make_float_kernel(context_, node);
    PlannedStep step{info_of(node), std::move(made.kernel), {}, {node.output().begin(), node.output().end()}};
    const std::vector<std::string> reads = graph::reads_of(node);
    for (size_t i = 0; i < reads.size(); ++i) {
      step.inputs.push_back(made.held[i] ? std::string() : quant_.canonical(reads[i]));
    }
    steps_.push_back(std::move(step));
  }

  // Where somebody needs the real value, a table gives it too.
  void plan_island(const onnx::NodeProto& node) {
    const TableIslands::Samples* samples = islands_.samples(node.output(0));
    ensure(samples != nullptr, "a node of an island has samples");
    steps_.push_back({.info = info_of(node),
                      .kernel = make_float_table(samples->real),
                      .inputs = {samples->root},
                      .outputs = {node.output(0)},
                      .island_row = result_.coverage.nodes.size()});
  }

  // `renamed`: real values that the program has only as integers.
  void cover(const onnx::NodeProto& node, const std::optional<Reason>& reason,
             const std::map<std::string, std::string>& renamed) {
    NodeCoverage row{.node = graph::node_label(node),
                     .op_type = node.op_type(),
                     .integer = !reason.has_value(),
                     .reason = reason,
                     .macs = 0};
    if (auto count = mac_count_of(context_, node)) {
      row.macs = static_macs(context_, *count);
      count->node = result_.coverage.nodes.size();
      if (const auto found = renamed.find(count->value); found != renamed.end()) count->value = found->second;
      if (const Quantized* x = quant_.source(count->value)) count->value = x->integer;
      if (!count->inner.empty() && row.integer) count->inner = quant_.source(count->inner)->integer;
      result_.mac_counts.push_back(std::move(*count));
    }
    result_.coverage.nodes.push_back(std::move(row));
  }

  void keep_needed() {
    std::unordered_set<std::string> outputs;
    for (const onnx::ValueInfoProto& output : graph_.output()) outputs.insert(quant_.canonical(output.name()));
    const std::unordered_set<std::string> needed = mark_needed(steps_, std::move(outputs));
    for (const PlannedStep& step : steps_) {
      if (step.kernel != nullptr || !step.island_row) continue;
      NodeCoverage& row = result_.coverage.nodes[*step.island_row];
      row.integer = true;
      row.reason.reset();
    }
    std::erase_if(steps_, [](const PlannedStep& step) { return step.kernel == nullptr; });
    std::erase_if(quantized_, [&](const auto& entry) { return !needed.contains(entry.first); });
    result_.quantized.merge(quantized_);
  }

  void use_constant(const std::string& value) {
    if (value.empty() || used_constants_.contains(value)) return;
    const auto own = own_constants_.find(value);
    const Tensor* constant = own != own_constants_.end() ? &own->second : context_.constant(value);
    if (constant == nullptr) return;
    used_constants_.insert(value);
    builder_.add_constant(value, *constant);
  }

  exec::Program build() {
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      if (constants_.is_initializer(input.name())) continue;
      const graph::ValueType type = quant_.index().type(input.name());
      builder_.add_input(input.name(), type.type, type.shape ? &*type.shape : nullptr);
    }
    for (const std::string& value : captured_) builder_.add_input(value, DataType::kUndefined, nullptr);
    for (PlannedStep& step : steps_) {
      for (const std::string& input : step.inputs) use_constant(input);
      builder_.add_step(std::move(step.info), std::move(step.kernel), step.inputs, step.outputs);
    }
    for (const onnx::ValueInfoProto& output : graph_.output()) {
      use_constant(output.name());
      builder_.add_output(output.name());
    }
    if (may_cut_batches()) {
      using Apart = exec::ProgramBuilder::Apart;
      builder_.treat_samples_apart(fills_caches(sample_graph(context_)) ? Apart::kSamples : Apart::kParts);
    }
    return builder_.finish();
  }

  // Products in float are oneDNN's, whose rounding may depend on how many samples it is given.
  bool may_cut_batches() const {
    const auto& rows = result_.coverage.nodes;
    const bool integer_products =
        std::all_of(rows.begin(), rows.end(), [](const NodeCoverage& row) { return row.integer || row.macs == 0; });
    return options_.kernels == KernelChoice::kFast && captured_.empty() && integer_products &&
           exec::treats_samples_apart(sample_graph(context_));
  }

  const onnx::GraphProto& graph_;
  const std::vector<std::string> captured_;
  const LowerOptions& options_;
  QuantGraph quant_;
  exec::Constants constants_;
  LowerContext context_;
  LowerContext reference_;
  TableIslands islands_;
  std::vector<PlannedStep> steps_;
  std::unordered_set<const onnx::NodeProto*> folded_;
  std::unordered_set<const onnx::NodeProto*> planned_;  // float steps
  std::unordered_set<std::string> made_;                // integer values that groups end in
  std::map<std::string, Tensor> own_constants_;
  std::set<std::string> used_constants_;
  std::map<std::string, QuantizedValue> quantized_;  // of this graph
  exec::ProgramBuilder builder_;
  LoweredModel& result_;
};

}  // namespace

LoweredModel lower(const graph::Model& quantized, const LowerOptions& options) {
  const std::optional<graph::Model> inlined = graph::without_functions(quantized);
  const graph::Model& plain = inlined ? *inlined : quantized;
  const std::optional<graph::Model> qdq = qoperators_to_qdq(plain);
  const graph::Model& model = qdq ? *qdq : plain;
  LoweredModel result;
  if (options.check_kernels) result.checks = std::make_shared<KernelChecks>();
  const exec::GraphScope whole{.model = &model, .graph = &model.graph(), .known = {}, .captured = {}};
  result.program = Lowering(whole, options, result).lower();
  return result;
}

}  // namespace narrow::runtime
