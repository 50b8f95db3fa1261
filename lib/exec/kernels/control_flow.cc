// If, Loop and SequenceMap: bodies are programs of their own, given what they capture behind the node's inputs.
#include <limits>

#include "lib/exec/kernels/concat.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/loop_parts.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

void check_results(size_t got, size_t wanted) {
  if (got != wanted) throw Error(ErrorKind::kModel, "a body with {} outputs for {}", got, wanted);
}

// A kernel that is all run_observed().
class BodyKernel : public Kernel {
 public:
  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const final {
    run_observed(inputs, outputs, workspace, {});
  }
  std::string implementation() const override { return "program"; }
};

bool truth(const Tensor& condition) {
  return scalar_value(condition) != 0;
}

// Exact, unlike scalar_value(): exporters write the largest int64 where only the condition ends a loop.
int64_t only_integer(const Tensor& count) {
  const std::vector<int64_t> values = int_list(count);
  if (values.size() != 1) throw Error(ErrorKind::kModel, "{} trip counts", values.size());
  return values[0];
}

// With a constant condition only the branch that is taken is compiled.
class IfKernel final : public BodyKernel {
 public:
  explicit IfKernel(const KernelRequest& request) : condition_(request, 0) {
    const Tensor& constant = condition_.constant();
    if (!constant.defined() || truth(constant)) then_.emplace(request, body_of(request, "then_branch"));
    if (!constant.defined() || !truth(constant)) else_.emplace(request, body_of(request, "else_branch"));
  }

  void run_observed(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace,
                    const RunOptions& options) const override {
    const Body& branch = truth(condition_.required_in(inputs)) ? *then_ : *else_;
    std::vector<Tensor> results = branch.run({}, inputs, workspace, options);
    check_results(results.size(), outputs.size());
    std::move(results.begin(), results.end(), outputs.begin());
  }

 private:
  Operand condition_;
  std::optional<Body> then_;
  std::optional<Body> else_;
};

// Inputs: trip count, condition, carried values. Body: (iteration, condition, carried) -> (condition, carried, scans).
class LoopKernel final : public BodyKernel {
 public:
  explicit LoopKernel(const KernelRequest& request)
      : trip_count_(request, 0),
        condition_(request, 1),
        body_(request, body_of(request, "body")),
        carried_(static_cast<size_t>(request.node->input_size()) - 2) {
    if (request.node->input_size() < 2 || body_.input_types().size() != carried_ + 2 ||
        body_.output_types().size() < carried_ + 1) {
      refuse(request, fmt::format("{} carried values, but a body with {} inputs and {} outputs", carried_,
                                  body_.input_types().size(), body_.output_types().size()));
    }
    for (size_t i = 0; i < carried_; ++i) initial_.emplace_back(request, i + 2);
  }

  void run_observed(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace,
                    const RunOptions& options) const override {
    const size_t scans = body_.output_types().size() - 1 - carried_;
    check_results(carried_ + scans, outputs.size());
    const Tensor& limit = trip_count_.in(inputs);
    const int64_t trips = limit.defined() ? only_integer(limit) : kForever;
    const Tensor& condition = condition_.in(inputs);
    bool goes_on = !condition.defined() || truth(condition);
    std::vector<Tensor> state = initial_state(inputs);
    std::vector<std::vector<Tensor>> rows(scans);
    for (int64_t i = 0; i < trips && goes_on; ++i) {
      state[0] = shaped_like(Tensor::scalar(i), body_.input_types()[0]);
      state[1] = shaped_like(Tensor::scalar(true), body_.input_types()[1]);
      std::vector<Tensor> results = body_.run(std::move(state), inputs, workspace, options);
      goes_on = truth(results[0]);
      for (size_t k = 0; k < scans; ++k) rows[k].push_back(std::move(results[1 + carried_ + k]));
      state.assign(1, Tensor());
      state.insert(state.end(), std::make_move_iterator(results.begin()),
                   std::make_move_iterator(results.begin() + 1 + static_cast<ptrdiff_t>(carried_)));
    }
    std::move(state.begin() + 2, state.end(), outputs.begin());
    for (size_t k = 0; k < scans; ++k) {
      outputs[carried_ + k] = stack_rows(rows[k], body_.output_types()[1 + carried_ + k], 0, workspace);
    }
  }

 private:
  static constexpr int64_t kForever = std::numeric_limits<int64_t>::max();

  // Two places for iteration and condition, then the values. What the step gave away is given on.
  std::vector<Tensor> initial_state(std::span<Tensor> inputs) const {
    std::vector<Tensor> state(2);
    for (size_t i = 0; i < carried_; ++i) {
      const bool constant = initial_[i].constant().defined();
      state.push_back(constant ? initial_[i].constant() : std::exchange(inputs[i + 2], Tensor()));
    }
    return state;
  }

  // Exporters also write both as tensors of one element.
  static Tensor shaped_like(const Tensor& scalar, const graph::ValueType& type) {
    return type.shape && type.shape->size() == 1 ? scalar.reshaped({1}) : scalar;
  }

  Operand trip_count_;
  Operand condition_;
  Body body_;
  size_t carried_;
  std::vector<Operand> initial_;
};

// The body is run for each element of the first sequence; other sequences go along, tensors are given as they are.
class SequenceMapKernel final : public BodyKernel {
 public:
  explicit SequenceMapKernel(const KernelRequest& request)
      : body_(request, body_of(request, "body")), count_(static_cast<size_t>(request.node->input_size())) {}

  void run_observed(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace,
                    const RunOptions& options) const override {
    check_results(body_.output_types().size(), outputs.size());
    const int64_t length = required(inputs, 0).size();
    std::vector<std::vector<Tensor>> results(outputs.size());
    for (int64_t i = 0; i < length; ++i) {
      std::vector<Tensor> formal;
      for (size_t k = 0; k < count_; ++k) {
        const Tensor& input = required(inputs, k);
        const bool is_sequence = input.type() == DataType::kSequence;
        if (is_sequence && input.size() != length) {
          throw Error(ErrorKind::kModel, "input {} is a sequence of {}, the first of {}", k, input.size(), length);
        }
        formal.push_back(is_sequence ? input.sequence()[static_cast<size_t>(i)] : input);
      }
      std::vector<Tensor> made = body_.run(std::move(formal), inputs, workspace, options);
      for (size_t k = 0; k < outputs.size(); ++k) results[k].push_back(std::move(made[k]));
    }
    for (size_t k = 0; k < outputs.size(); ++k) outputs[k] = Tensor::of_sequence(std::move(results[k]));
  }

 private:
  Body body_;
  size_t count_;
};

}  // namespace

const onnx::GraphProto& body_of(const KernelRequest& request, std::string_view attribute) {
  const onnx::AttributeProto* found = graph::find_attribute(*request.node, attribute);
  if (found == nullptr || !found->has_g()) refuse(request, fmt::format("it has no graph '{}'", attribute));
  return found->g();
}

Tensor stack_rows(std::span<const Tensor> rows, const graph::ValueType& row_type, int64_t axis, Workspace& workspace) {
  if (!rows.empty()) return stack(rows, axis, workspace);
  if (row_type.type == DataType::kUndefined) {
    throw Error(ErrorKind::kModel, "no iteration, and the body does not declare the type of its result");
  }
  Shape shape = row_type.shape.value_or(Shape());
  for (int64_t& dimension : shape) dimension = std::max<int64_t>(dimension, 0);
  shape.insert(shape.begin() + normalize_axis(axis, shape.size() + 1), 0);
  return Tensor(row_type.type, std::move(shape));
}

KernelPtr make_if(const KernelRequest& request) {
  return std::make_unique<IfKernel>(request);
}

KernelPtr make_loop(const KernelRequest& request) {
  return std::make_unique<LoopKernel>(request);
}

KernelPtr make_sequence_map(const KernelRequest& request) {
  return std::make_unique<SequenceMapKernel>(request);
}

}  // namespace narrow::exec
