#include "lib/exec/scope.h"

#include "lib/base/error.h"

namespace narrow::exec {
namespace {

// Values from around a body were heard of when they were made.
class OwnValues final : public TensorListener {
 public:
  OwnValues(const std::set<std::string>& captured, TensorListener& listener)
      : captured_(captured), listener_(listener) {}
  void on_value(const std::string& value, const Tensor& tensor) override {
    if (!captured_.contains(value)) listener_.on_value(value, tensor);
  }

 private:
  const std::set<std::string>& captured_;
  TensorListener& listener_;
};

}  // namespace

Body::Body(const KernelRequest& request, const onnx::GraphProto& graph) {
  if (request.model == nullptr) {
    throw Error(ErrorKind::kUnsupported, "node '{}' ({}): a body without its model", graph::node_label(*request.node),
                request.node->op_type());
  }
  GraphScope scope{.model = request.model, .graph = &graph, .known = {}, .captured = {}};
  const std::vector<std::string> own = graph::captured_values(graph);
  const std::vector<std::string> reads = graph::reads_of(*request.node);
  for (const std::string& value : own) {
    // Behind the node's own inputs: a value may be both read and captured.
    const auto place = std::find(reads.begin() + request.node->input_size(), reads.end(), value);
    const auto position = static_cast<size_t>(place - reads.begin());
    const Tensor* constant = request.constant ? request.constant(static_cast<int>(position)) : nullptr;
    if (constant != nullptr) {
      scope.known.emplace(value, *constant);
    } else {
      scope.captured.push_back(value);
      captured_.push_back(position);
    }
  }
  captured_names_.insert(scope.captured.begin(), scope.captured.end());
  const graph::GraphIndex index(graph);
  for (const onnx::ValueInfoProto& input : graph.input()) input_types_.push_back(index.type(input.name()));
  for (const onnx::ValueInfoProto& output : graph.output()) output_types_.push_back(index.type(output.name()));
  const CompileOptions options = request.options == nullptr ? CompileOptions() : *request.options;
  program_ = in_context(fmt::format("node '{}' ({})", graph::node_label(*request.node), request.node->op_type()), [&] {
    return request.compile_body ? request.compile_body(std::move(scope)) : compile_graph(std::move(scope), options);
  });
}

std::vector<Tensor> Body::run(std::vector<Tensor> formal, std::span<const Tensor> step_inputs, Workspace& workspace,
                              const RunOptions& options) const {
  if (formal.size() != input_types_.size()) {
    throw Error(ErrorKind::kModel, "a body with {} inputs is given {}", input_types_.size(), formal.size());
  }
  for (const size_t position : captured_) formal.push_back(step_inputs[position]);
  if (options.listener == nullptr || captured_.empty()) {
    return program_.run_inputs(std::move(formal), workspace, options);
  }
  OwnValues own(captured_names_, *options.listener);
  return program_.run_inputs(std::move(formal), workspace, {.listener = &own});
}

}  // namespace narrow::exec
