#include "lib/exec/float_program.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/exec/channel_order.h"
#include "lib/exec/constants.h"
#include "lib/exec/fuse.h"
#include "lib/exec/kernels/gemm.h"
#include "lib/exec/linear_fold.h"
#include "lib/exec/sample_axis.h"
#include "lib/exec/scope.h"
#include "lib/graph/local_functions.h"
#include "lib/graph/needed.h"

namespace narrow::exec {
namespace {

// A constant that somebody wants to see as a step's result.
class ConstantKernel final : public Kernel {
 public:
  explicit ConstantKernel(std::vector<Tensor> values) : values_(std::move(values)) {}
  void run(std::span<Tensor> /*inputs*/, std::span<Tensor> outputs, Workspace& /*workspace*/) const override {
    std::copy(values_.begin(), values_.end(), outputs.begin());
  }
  LayoutUse layout_use() const override { return LayoutUse::kAny; }
  std::string implementation() const override { return "constant"; }

 private:
  std::vector<Tensor> values_;
};

class Compiler {
 public:
  Compiler(GraphScope scope, const CompileOptions& options)
      : model_(*scope.model),
        graph_(*scope.graph),
        captured_(std::move(scope.captured)),
        options_(options),
        constants_(model_, graph_, std::move(scope.known)),
        index_(graph_),
        observed_(options.observed.begin(), options.observed.end()) {}

  Program compile() {
    needed_ = graph::needed_values(graph_, options_.observed);
    add_inputs();
    for (const onnx::NodeProto& node : graph_.node()) fold_node(node);
    if (options_.fuse) select_groups();
    for (const onnx::NodeProto& node : graph_.node()) {
      if (!is_needed(node) || folded_.contains(&node)) continue;
      const auto group = groups_by_last_.find(&node);
      const auto order = orders_by_last_.find(&node);
      if (group != groups_by_last_.end()) {
        add_group(group->second);
      } else if (order != orders_by_last_.end()) {
        add_channel_order(order->second);
      } else if (!grouped_.contains(&node)) {
        add_node(node);
      }
    }
    for (const onnx::ValueInfoProto& output : graph_.output()) {
      use_constant(output.name());
      builder_.add_output(output.name());
    }
    if (runs_one_by_one()) builder_.treat_samples_apart(ProgramBuilder::Apart::kSamples);
    return builder_.finish();
  }

 private:
  // Or not at all: oneDNN's products may round otherwise for another number of samples.
  bool runs_one_by_one() const {
    if (!captured_.empty() || !observed_.empty() || &graph_ != &model_.graph()) return false;
    const SampleGraph samples{.graph = &graph_,
                              .index = &index_,
                              .is_constant = [this](const std::string& value) { return constants_.has(value); },
                              .constant = [this](const std::string& value) { return constants_.find(value); },
                              .shape = [this](const std::string& value) { return shape_of(value); },
                              .opset = [this](const onnx::NodeProto& node) { return model_.opset(node.domain()); }};
    return fills_caches(samples) && treats_samples_apart(samples);
  }

  std::optional<Shape> shape_of(const std::string& value) const {
    const graph::ValueType type = index_.type(value);
    if (type.shape) return type.shape;
    const Tensor* constant = constants_.find(value);
    return constant == nullptr ? std::nullopt : std::optional(constant->shape());
  }

  bool is_needed(const onnx::NodeProto& node) const { return graph::makes_any(node, needed_); }

  // An input that an initializer backs (IR version 3 lists all initializers among the inputs) is a constant here, and
  // so is an input of a function body whose value is known.
  void add_inputs() {
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      if (constants_.has(input.name())) continue;
      const graph::ValueType type = index_.type(input.name());
      builder_.add_input(input.name(), type.type, type.shape ? &*type.shape : nullptr);
    }
    for (const std::string& value : captured_) builder_.add_input(value, DataType::kUndefined, nullptr);
  }

  void use_constant(const std::string& value) {
    const Tensor* constant = value.empty() ? nullptr : constants_.find(value);
    if (constant != nullptr && used_constants_.insert(value).second) builder_.add_constant(value, *constant);
  }

  StepInfo info_of(const onnx::NodeProto& node) const {
    return {.node = graph::node_label(node), .fused = {graph::node_label(node)}, .op_type = node.op_type()};
  }

  void fold_node(const onnx::NodeProto& node) {
    if (!is_needed(node) || !constants_.can_fold(node)) return;
    constants_.fold(node, model_.opset(node.domain()));
    folded_.insert(&node);
    add_observed_constants(node);
    constants_.forget_inputs(node, index_, observed_);
  }

  void select_groups() {
    for (const onnx::NodeProto& node : graph_.node()) {
      if (!is_needed(node) || folded_.contains(&node) || grouped_.contains(&node)) continue;
      const FusionContext context{
          .model = model_, .index = index_, .constants = constants_, .observed = observed_, .taken = grouped_};
      if (std::optional<ChannelOrder> order = select_channel_order(node, context)) {
        grouped_.insert(order->nodes.begin(), order->nodes.end());
        for (const ChannelChoice& choice : order->choices) grouped_.insert(choice.last);
        const onnx::NodeProto* last = order->choices.size() == 1 ? order->choices[0].last : order->nodes.back();
        orders_by_last_.emplace(last, std::move(*order));
        continue;
      }
      FusedGroup group = select_group(node, context);
      if (group.nodes.empty()) continue;
      grouped_.insert(group.nodes.begin(), group.nodes.end());
      groups_by_last_.emplace(group.nodes.back(), std::move(group));
    }
  }

  KernelPtr make_group(const FusedGroup& group) const {
    const onnx::NodeProto& anchor = *group.anchor;
    KernelRequest request = request_for(anchor, model_.opset(anchor.domain()), constants_);
    if (anchor.op_type() != "Conv") {
      DenseConstants dense = dense_constants(request);
      ProductConstants folded = fold_linear(
          {.weights = dense.weights, .bias = dense.bias, .channel_axis = dense.transpose_b ? size_t{0} : size_t{1}},
          group, constants_);
      dense.weights = std::move(folded.weights);
      dense.bias = std::move(folded.bias);
      return make_dense(dense, group.epilogue);
    }
    onnx::NodeProto node = group.padding == nullptr ? anchor : with_padding(anchor, *group.padding, constants_);
    const bool has_bias = node.input_size() > 2 && !node.input(2).empty();
    const ProductConstants folded = fold_linear({.weights = *constants_.find(node.input(1)),
                                                 .bias = has_bias ? *constants_.find(node.input(2)) : Tensor(),
                                                 .channel_axis = 0},
                                                group, constants_);
    if (!has_bias && folded.bias.defined()) {
      // The folded bias needs a place among the inputs; its name is never looked up.
      if (node.input_size() < 3) node.add_input();
      node.set_input(2, "folded bias");
    }
    request.node = &node;
    request.constant = [&](int input) { return input == 1 ? &folded.weights : input == 2 ? &folded.bias : nullptr; };
    return make_convolution(request, group.epilogue);
  }

  void add_group(const FusedGroup& group) {
    KernelPtr kernel = make_group(group);
    const onnx::NodeProto& last = *group.nodes.back();
    StepInfo info{.node = graph::node_label(last), .fused = {}, .op_type = group.anchor->op_type()};
    for (const onnx::NodeProto* node : group.nodes) info.fused.push_back(graph::node_label(*node));
    std::vector<std::string> inputs{group.padding == nullptr ? group.anchor->input(0) : group.padding->input(0)};
    if (!group.residual.empty()) inputs.push_back(group.residual);
    for (const std::string& input : inputs) use_constant(input);
    builder_.add_step(std::move(info), std::move(kernel), inputs, {last.output(0)}, shape_of(inputs[0]));
  }

  void add_channel_order(const ChannelOrder& order) {
    use_constant(order.source);
    for (const ChannelChoice& choice : order.choices) {
      if (!is_needed(*choice.last)) continue;
      StepInfo info{.node = graph::node_label(*choice.last), .fused = {}, .op_type = "Transpose"};
      if (&choice == &order.choices.front()) {
        for (const onnx::NodeProto* node : order.nodes) info.fused.push_back(graph::node_label(*node));
      }
      info.fused.push_back(info.node);
      builder_.add_step(std::move(info), make_channel_order(order.shape, choice.channels), {order.source},
                        wanted_outputs(*choice.last));
    }
  }

  void add_node(const onnx::NodeProto& node) {
    KernelRequest request = request_for(node, model_.opset(node.domain()), constants_);
    std::vector<std::string> inputs = graph::reads_of(node);
    std::set<int> held;
    request.constant = [&, lookup = request.constant](int input) {
      const Tensor* constant = lookup(input);
      if (constant != nullptr) held.insert(input);
      return constant;
    };
    request.type = [&](int input) { return index_.type(inputs.at(static_cast<size_t>(input))); };
    request.options = &options_;
    KernelPtr kernel = make_kernel(request);
    for (const int input : held) inputs[static_cast<size_t>(input)].clear();
    for (const std::string& input : inputs) use_constant(input);
    const bool known = !inputs.empty() && !inputs[0].empty();
    builder_.add_step(info_of(node), std::move(kernel), inputs, wanted_outputs(node),
                      known ? shape_of(inputs[0]) : std::nullopt);
  }

  std::vector<std::string> wanted_outputs(const onnx::NodeProto& node) const {
    std::vector<std::string> outputs;
    for (const std::string& output : node.output()) outputs.push_back(needed_.contains(output) ? output : "");
    return outputs;
  }

  void add_observed_constants(const onnx::NodeProto& node) {
    std::vector<std::string> names;
    std::vector<Tensor> values;
    for (const std::string& output : node.output()) {
      if (!observed_.contains(output) || constants_.find(output) == nullptr) continue;
      names.push_back(output);
      values.push_back(*constants_.find(output));
    }
    if (names.empty()) return;
    builder_.add_step(info_of(node), std::make_unique<ConstantKernel>(std::move(values)), {}, names);
  }

  const graph::Model& model_;
  const onnx::GraphProto& graph_;
  const std::vector<std::string> captured_;
  const CompileOptions& options_;
  Constants constants_;
  graph::GraphIndex index_;
  ProgramBuilder builder_;
  std::unordered_set<std::string> needed_;
  std::set<std::string> observed_;
  std::set<std::string> used_constants_;
  std::set<const onnx::NodeProto*> folded_;
  std::set<const onnx::NodeProto*> grouped_;
  std::map<const onnx::NodeProto*, FusedGroup> groups_by_last_;
  std::map<const onnx::NodeProto*, ChannelOrder> orders_by_last_;
};

}  // namespace

Program compile_graph(GraphScope scope, const CompileOptions& options) {
  return Compiler(std::move(scope), options).compile();
}

Program compile_float(const graph::Model& model, const CompileOptions& options) {
  if (model.proto().functions_size() == 0) {
    return compile_graph({.model = &model, .graph = &model.graph(), .known = {}, .captured = {}}, options);
  }
  graph::Model inlined = model;
  graph::inline_functions(inlined.mutable_proto());
  return compile_graph({.model = &inlined, .graph = &inlined.graph(), .known = {}, .captured = {}}, options);
}

}  // namespace narrow::exec
