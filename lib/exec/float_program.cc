#include "lib/exec/float_program.h"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "lib/base/error.h"
#include "lib/exec/constants.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <onnx/inliner/inliner.h>
#pragma GCC diagnostic pop

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
  Compiler(const graph::Model& model, const CompileOptions& options)
      : model_(model),
        options_(options),
        constants_(model),
        observed_(options.observed.begin(), options.observed.end()) {}

  Program compile() {
    mark_needed();
    add_inputs();
    for (const onnx::NodeProto& node : model_.graph().node()) add_node(node);
    for (const onnx::ValueInfoProto& output : model_.graph().output()) {
      use_constant(output.name());
      builder_.add_output(output.name());
    }
    return builder_.finish();
  }

 private:
  void mark_needed() {
    const onnx::GraphProto& graph = model_.graph();
    needed_.insert(options_.observed.begin(), options_.observed.end());
    for (const onnx::ValueInfoProto& output : graph.output()) needed_.insert(output.name());
    for (int i = graph.node_size(); i-- > 0;) {
      const onnx::NodeProto& node = graph.node(i);
      if (!is_needed(node)) continue;
      needed_.insert(node.input().begin(), node.input().end());
      graph::for_each_subgraph(node, [&](const onnx::GraphProto& subgraph) {
        for (const std::string& value : graph::captured_values(subgraph)) needed_.insert(value);
      });
    }
  }

  bool is_needed(const onnx::NodeProto& node) const {
    return std::any_of(node.output().begin(), node.output().end(),
                       [&](const std::string& output) { return !output.empty() && needed_.contains(output); });
  }

  // An input that an initializer backs (IR version 3 lists all initializers among the inputs) is a constant here.
  void add_inputs() {
    const graph::GraphIndex index(model_.graph());
    for (const onnx::ValueInfoProto& input : model_.graph().input()) {
      if (constants_.is_initializer(input.name())) continue;
      const graph::ValueType type = index.type(input.name());
      builder_.add_input(input.name(), type.type, type.shape ? &*type.shape : nullptr);
    }
  }

  void use_constant(const std::string& value) {
    const Tensor* constant = value.empty() ? nullptr : constants_.find(value);
    if (constant != nullptr && used_constants_.insert(value).second) builder_.add_constant(value, *constant);
  }

  StepInfo info_of(const onnx::NodeProto& node) const {
    return {.node = graph::node_label(node), .fused = {graph::node_label(node)}, .op_type = node.op_type()};
  }

  void add_node(const onnx::NodeProto& node) {
    if (!is_needed(node)) return;
    if (constants_.can_fold(node)) {
      constants_.fold(node, model_.opset(node.domain()));
      add_observed_constants(node);
      return;
    }
    KernelRequest request = request_for(node, model_.opset(node.domain()), constants_);
    std::set<int> held;
    const auto lookup = request.constant;
    request.constant = [&](int input) {
      const Tensor* constant = lookup(input);
      if (constant != nullptr) held.insert(input);
      return constant;
    };
    KernelPtr kernel = make_kernel(request);
    std::vector<std::string> inputs;
    for (int i = 0; i < node.input_size(); ++i) {
      inputs.push_back(held.contains(i) ? "" : node.input(i));
      use_constant(inputs.back());
    }
    builder_.add_step(info_of(node), std::move(kernel), inputs, wanted_outputs(node));
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
      if (!observed_.contains(output)) continue;
      names.push_back(output);
      values.push_back(*constants_.find(output));
    }
    if (names.empty()) return;
    builder_.add_step(info_of(node), std::make_unique<ConstantKernel>(std::move(values)), {}, names);
  }

  const graph::Model& model_;
  const CompileOptions& options_;
  Constants constants_;
  ProgramBuilder builder_;
  std::unordered_set<std::string> needed_;
  std::set<std::string> observed_;
  std::set<std::string> used_constants_;
};

}  // namespace

Program compile_float(const graph::Model& model, const CompileOptions& options) {
  if (model.proto().functions_size() == 0) return Compiler(model, options).compile();
  graph::Model inlined = model;
  onnx::inliner::InlineLocalFunctions(inlined.mutable_proto(), /*convert_version=*/true);
  return Compiler(inlined, options).compile();
}

}  // namespace narrow::exec
