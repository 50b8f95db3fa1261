// Scan: a body run along an axis of its inputs, with state. Version 8 has a batch axis in front of everything.
#include <optional>

#include "lib/exec/kernels/concat.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/loop_parts.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

Tensor slice_at(const Tensor& tensor, size_t axis, int64_t index, Workspace& workspace) {
  const Tensor piece = piece_of(tensor, {.axis = axis, .begin = index, .size = 1}, workspace);
  Shape shape = tensor.shape();
  shape.erase(shape.begin() + static_cast<ptrdiff_t>(axis));
  return piece.reshaped(std::move(shape));
}

int64_t entry(const std::vector<int64_t>& list, size_t index) {
  return index < list.size() ? list[index] : 0;
}

struct ScanAttributes {
  size_t scans = 0;  // inputs that are walked along
  std::vector<int64_t> input_axes;
  std::vector<int64_t> input_directions;  // 1: backwards
  std::vector<int64_t> output_axes;
  std::vector<int64_t> output_directions;
};

class ScanKernel final : public Kernel {
 public:
  ScanKernel(const KernelRequest& request, ScanAttributes attributes, size_t inputs)
      : attributes_(std::move(attributes)), body_(request, body_of(request, "body")), batched_(request.opset < 9) {
    if (attributes_.scans == 0 || attributes_.scans > inputs || body_.input_types().size() != inputs) {
      refuse(request, fmt::format("{} of {} inputs are scanned by a body with {}", attributes_.scans, inputs,
                                  body_.input_types().size()));
    }
    states_ = inputs - attributes_.scans;
    if (body_.output_types().size() < states_) refuse(request, "its body returns fewer values than there are states");
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    run_observed(inputs, outputs, workspace, {});
  }

  void run_observed(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace,
                    const RunOptions& options) const override {
    if (body_.output_types().size() != outputs.size()) {
      throw Error(ErrorKind::kModel, "a body with {} outputs for {}", body_.output_types().size(), outputs.size());
    }
    const Run run{.step_inputs = inputs, .workspace = workspace, .options = options};
    if (batched_) {
      run_batch(run, outputs);
      return;
    }
    std::vector<Tensor> own(inputs.begin(), inputs.begin() + static_cast<ptrdiff_t>(states_ + attributes_.scans));
    std::vector<Tensor> results = scan(run, std::move(own), std::nullopt);
    std::move(results.begin(), results.end(), outputs.begin());
  }

  std::string implementation() const override { return "program"; }

 private:
  struct Run {
    std::span<Tensor> step_inputs;
    Workspace& workspace;
    const RunOptions& options;
  };

  size_t input_axis(const Tensor& input, size_t k) const {
    return static_cast<size_t>(normalize_axis(entry(attributes_.input_axes, k), input.rank()));
  }

  // One sequence: states and scanned inputs to final states and stacked results. `wanted`: how many of its places
  // count, if not all.
  std::vector<Tensor> scan(const Run& run, std::vector<Tensor> own, std::optional<int64_t> wanted) const {
    const std::span<const Tensor> scanned = std::span(own).subspan(states_);
    const int64_t length = required(own, states_).shape()[input_axis(scanned[0], 0)];
    for (size_t k = 0; k < scanned.size(); ++k) {
      if (scanned[k].shape()[input_axis(scanned[k], k)] == length) continue;
      throw Error(ErrorKind::kModel, "inputs of different lengths are scanned together");
    }
    const int64_t steps = wanted.value_or(length);
    if (steps < 0 || steps > length) throw Error(ErrorKind::kModel, "{} steps along a sequence of {}", steps, length);
    std::vector<Tensor> states(own.begin(), own.begin() + static_cast<ptrdiff_t>(states_));
    std::vector<std::vector<Tensor>> rows(body_.output_types().size() - states_);
    for (int64_t i = 0; i < steps; ++i) {
      for (size_t k = 0; k < scanned.size(); ++k) {
        const int64_t at = entry(attributes_.input_directions, k) != 0 ? steps - 1 - i : i;
        states.push_back(slice_at(scanned[k], input_axis(scanned[k], k), at, run.workspace));
      }
      std::vector<Tensor> results = body_.run(std::move(states), run.step_inputs, run.workspace, run.options);
      const auto middle = results.begin() + static_cast<ptrdiff_t>(states_);
      for (size_t k = 0; k < rows.size(); ++k) rows[k].push_back(std::move(results[states_ + k]));
      states.assign(std::make_move_iterator(results.begin()), std::make_move_iterator(middle));
    }
    for (size_t k = 0; k < rows.size(); ++k) {
      if (entry(attributes_.output_directions, k) != 0) std::reverse(rows[k].begin(), rows[k].end());
      // The rest of a sequence that ends early is zero.
      for (int64_t i = steps; i < length && !rows[k].empty(); ++i) rows[k].push_back(zeros_like(rows[k][0]));
      const graph::ValueType& type = body_.output_types()[states_ + k];
      states.push_back(stack_rows(rows[k], type, entry(attributes_.output_axes, k), run.workspace));
    }
    return states;
  }

  static Tensor zeros_like(const Tensor& tensor) {
    Tensor result(tensor.type(), tensor.shape());
    if (tensor.type() != DataType::kString) std::fill_n(result.mutable_bytes(), result.byte_size(), std::byte{0});
    return result;
  }

  // Inputs: lengths by sequence (optional), then states and scanned inputs, all [batch, ...].
  void run_batch(const Run& run, std::span<Tensor> outputs) const {
    const std::vector<int64_t> lengths =
        run.step_inputs[0].defined() ? int_list(run.step_inputs[0]) : std::vector<int64_t>();
    const size_t count = states_ + attributes_.scans;
    const Tensor& first = required(run.step_inputs, 1);
    const int64_t batch = first.rank() == 0 ? 0 : first.shape()[0];
    if (batch == 0) throw Error(ErrorKind::kModel, "a batch of no sequences");
    if (!lengths.empty() && static_cast<int64_t>(lengths.size()) != batch) {
      throw Error(ErrorKind::kModel, "{} lengths for {} sequences", lengths.size(), batch);
    }
    std::vector<std::vector<Tensor>> results(outputs.size());
    for (int64_t b = 0; b < batch; ++b) {
      std::vector<Tensor> own;
      for (size_t k = 0; k < count; ++k) {
        own.push_back(slice_at(required(run.step_inputs, k + 1), 0, b, run.workspace));
      }
      std::vector<Tensor> made =
          scan(run, std::move(own), lengths.empty() ? std::nullopt : std::optional(lengths[static_cast<size_t>(b)]));
      for (size_t k = 0; k < outputs.size(); ++k) results[k].push_back(std::move(made[k]));
    }
    for (size_t k = 0; k < outputs.size(); ++k) outputs[k] = stack(results[k], 0, run.workspace);
  }

  ScanAttributes attributes_;
  Body body_;
  bool batched_;
  size_t states_ = 0;
};

}  // namespace

KernelPtr make_scan(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const bool batched = request.opset < 9;
  const auto inputs = static_cast<size_t>(node.input_size()) - (batched ? 1 : 0);
  ScanAttributes attributes{
      .scans = static_cast<size_t>(graph::int_attribute(node, "num_scan_inputs", 0)),
      .input_axes = graph::ints_attribute(node, "scan_input_axes"),
      .input_directions = graph::ints_attribute(node, batched ? "directions" : "scan_input_directions"),
      .output_axes = graph::ints_attribute(node, "scan_output_axes"),
      .output_directions = graph::ints_attribute(node, "scan_output_directions")};
  return std::make_unique<ScanKernel>(request, std::move(attributes), inputs);
}

}  // namespace narrow::exec
