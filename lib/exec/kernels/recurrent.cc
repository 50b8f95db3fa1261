// RNN, GRU and LSTM: one matrix product of all steps' inputs, then a small one for each step's state.
#include <algorithm>
#include <optional>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/recurrent_product.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

constexpr size_t kX = 0;
constexpr size_t kW = 1;
constexpr size_t kR = 2;
constexpr size_t kBias = 3;
constexpr size_t kLengths = 4;
constexpr size_t kInitialHidden = 5;
constexpr size_t kInitialCell = 6;
constexpr size_t kPeepholes = 7;
constexpr size_t kInputs = 8;

/// The direction's products with float weights of the node.
DirectionProducts make_products(const CellSpec& spec, const Tensor& w, const Tensor& r, size_t direction, bool constant,
                                Workspace& workspace) {
  const RecurrentRows rows = recurrent_rows(spec);
  const Piece all{.axis = 1, .begin = 0, .size = w.shape()[1]};
  DirectionProducts products{.input = float_product(w, direction, all, constant, workspace),
                             .recurrent = float_product(r, direction, rows.first, constant, workspace),
                             .candidate = nullptr};
  if (rows.candidate.size > 0) {
    products.candidate = float_product(r, direction, rows.candidate, constant, workspace);
  }
  return products;
}

std::vector<ActivationKind> default_activations(CellKind kind) {
  switch (kind) {
    case CellKind::kRnn:
      return {ActivationKind::kTanh};
    case CellKind::kGru:
      return {ActivationKind::kSigmoid, ActivationKind::kTanh};
    case CellKind::kLstm:
      return {ActivationKind::kSigmoid, ActivationKind::kTanh, ActivationKind::kTanh};
  }
  return {};
}

struct Sizes {
  int64_t steps = 0;
  int64_t batch = 0;
  int64_t directions = 0;
  int64_t hidden = 0;
  bool batch_first = false;

  int64_t input_row(int64_t step, int64_t b) const { return batch_first ? b * steps + step : step * batch + b; }
  int64_t output_row(int64_t step, int64_t d, int64_t b) const {
    return batch_first ? (b * steps + step) * directions + d : (step * directions + d) * batch + b;
  }
  int64_t state_row(int64_t d, int64_t b) const { return batch_first ? b * directions + d : d * batch + b; }
  Shape output_shape() const {
    return batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden};
  }
  Shape state_shape() const {
    return batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  }
};

class RecurrentKernel final : public Kernel {
 public:
  /// `given`: the weights, where the node's inputs do not hold them. `rounds`: what constant weights multiply is
  /// rounded to 8 bits.
  explicit RecurrentKernel(const KernelRequest& request, std::optional<RecurrentWeights> given = std::nullopt,
                           bool rounds = false)
      : spec_(cell_spec(*request.node)),
        batch_first_(graph::int_attribute(*request.node, "layout", 0) != 0),
        weights_(std::move(given)),
        given_(weights_.has_value()) {
    const std::string direction = graph::string_attribute(*request.node, "direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
      refuse(request, fmt::format("there is no direction '{}'", direction));
    }
    directions_ = direction == "bidirectional" ? 2 : 1;
    first_reversed_ = direction == "reverse";
    const std::vector<ActivationKind> defaults = default_activations(spec_.kind);
    activations_ = read_activations(request, defaults, directions_);
    per_direction_ = defaults.size();
    for (size_t i = 0; i < kInputs; ++i) {
      operands_.push_back(given_ && (i == kW || i == kR) ? Operand() : Operand(request, i));
    }
    const Tensor& w = operands_[kW].constant();
    const Tensor& r = operands_[kR].constant();
    if (given_ || !w.defined() || !r.defined() || w.type() != DataType::kFloat32) return;
    Workspace workspace;
    weights_ = weights_of(w, r, /*constant=*/true, workspace);
    if (!rounds) return;
    for (DirectionProducts& products : weights_->directions) {
      products.input = rounding_product(products.input);
      products.recurrent = rounding_product(products.recurrent);
    }
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const DataType type = given_ ? DataType::kFloat32 : operands_[kX].required_in(inputs).type();
    std::vector<Tensor> values;
    for (const Operand& operand : operands_) values.push_back(operand.in(inputs));
    const bool wide = type == DataType::kFloat64;
    for (size_t i = 0; i < kInputs; ++i) {
      if (i == kLengths || (given_ && i == kX) || !values[i].defined()) continue;
      if (values[i].type() != type) throw Error(ErrorKind::kModel, "inputs of different types");
      if (!wide) values[i] = cast_tensor(values[i], DataType::kFloat32, workspace);
    }
    std::vector<Tensor> results = wide ? compute<double>(values, workspace) : compute<float>(values, workspace);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = cast_tensor(results.at(i), type, workspace);
  }

  std::string implementation() const override {
    return weights_ ? weights_->directions.front().recurrent->implementation() : "reference";
  }

 private:
  RecurrentWeights weights_of(const Tensor& w, const Tensor& r, bool constant, Workspace& workspace) const {
    if (r.rank() != 3) throw Error(ErrorKind::kModel, "recurrent weights {}", shape_text(r.shape()));
    CellSpec spec = spec_;
    spec.hidden = static_cast<size_t>(r.shape()[2]);
    const auto rows = static_cast<int64_t>(gate_count(spec.kind) * spec.hidden);
    const auto fits = [&](const Tensor& tensor) {
      return tensor.rank() == 3 && tensor.shape()[0] == static_cast<int64_t>(directions_) && tensor.shape()[1] == rows;
    };
    if (!fits(w) || !fits(r)) {
      throw Error(ErrorKind::kModel, "weights {} and {} of {} directions and {} gates", shape_text(w.shape()),
                  shape_text(r.shape()), directions_, gate_count(spec.kind));
    }
    RecurrentWeights weights{.input_size = w.shape()[2], .hidden_size = spec.hidden, .directions = {}};
    for (size_t d = 0; d < directions_; ++d) {
      weights.directions.push_back(make_products(spec, w, r, d, constant, workspace));
    }
    return weights;
  }

  static void check_shape(const Tensor& tensor, const Shape& shape, std::string_view what) {
    if (!tensor.defined() || tensor.shape() == shape) return;
    throw Error(ErrorKind::kModel, "{} is {}, expected {}", what, shape_text(tensor.shape()), shape_text(shape));
  }

  Sizes sizes_of(const CellSpec& spec, int64_t input_size, const std::vector<Tensor>& values) const {
    const Shape& x = values[kX].shape();
    if (x.size() != 3 || x[2] != input_size) {
      throw Error(ErrorKind::kModel, "input {} for weights of {} columns", shape_text(x), input_size);
    }
    const Sizes sizes{.steps = x[batch_first_ ? 1 : 0],
                      .batch = x[batch_first_ ? 0 : 1],
                      .directions = static_cast<int64_t>(directions_),
                      .hidden = static_cast<int64_t>(spec.hidden),
                      .batch_first = batch_first_};
    const auto rows = static_cast<int64_t>(gate_count(spec.kind) * spec.hidden);
    check_shape(values[kBias], {sizes.directions, 2 * rows}, "the bias");
    check_shape(values[kLengths], {sizes.batch}, "sequence_lens");
    check_shape(values[kInitialHidden], sizes.state_shape(), "initial_h");
    check_shape(values[kInitialCell], sizes.state_shape(), "initial_c");
    check_shape(values[kPeepholes], {sizes.directions, 3 * sizes.hidden}, "the peepholes");
    return sizes;
  }

  static std::vector<int64_t> lengths_of(const Tensor& given, const Sizes& sizes) {
    if (!given.defined()) return std::vector<int64_t>(static_cast<size_t>(sizes.batch), sizes.steps);
    std::vector<int64_t> lengths = int_list(given);
    for (const int64_t length : lengths) {
      if (length >= 0 && length <= sizes.steps) continue;
      throw Error(ErrorKind::kModel, "a sequence of {} of {} steps", length, sizes.steps);
    }
    return lengths;
  }

  template <class T>
  static Tensor zeros(const Shape& shape, Workspace& workspace) {
    Tensor result = workspace.allocate(data_type_of<T>(), shape);
    std::fill_n(result.mutable_data<T>().data(), result.size(), T{0});
    return result;
  }

  template <class T>
  std::vector<Tensor> compute(const std::vector<Tensor>& values, Workspace& workspace) const {
    std::optional<RecurrentWeights> own;
    if (!weights_) {
      if (!values[kW].defined() || !values[kR].defined()) throw Error(ErrorKind::kModel, "weights are absent");
      own = weights_of(values[kW], values[kR], /*constant=*/false, workspace);
    }
    const RecurrentWeights& weights = own ? *own : *weights_;
    CellSpec spec = spec_;
    spec.hidden = weights.hidden_size;
    const Sizes sizes = sizes_of(spec, weights.input_size, values);
    const std::vector<int64_t> lengths = lengths_of(values[kLengths], sizes);
    std::vector<Tensor> results;
    results.push_back(zeros<T>(sizes.output_shape(), workspace));
    for (int i = 0; i < 2; ++i) results.push_back(zeros<T>(sizes.state_shape(), workspace));
    for (size_t d = 0; d < directions_; ++d) {
      run_direction<T>(spec, sizes, weights.directions[d], values, lengths, d, results, workspace);
    }
    return results;
  }

  // x W^T + W's bias + R's bias, but for the part of R's that a GRU resets along with its product.
  template <class T>
  static Tensor input_gates(const CellSpec& spec, const Sizes& sizes, const DirectionProducts& products,
                            const std::vector<Tensor>& values, size_t direction, Workspace& workspace) {
    const Tensor& x = values[kX];
    const int64_t rows = sizes.steps * sizes.batch;
    const size_t width = gate_count(spec.kind) * spec.hidden;
    if (rows == 0) return workspace.allocate(data_type_of<T>(), {0, static_cast<int64_t>(width)});
    Tensor gates = products.input->multiply(x.reshaped({rows, x.shape()[2]}), workspace);
    if (!values[kBias].defined()) return gates;
    const T* bias = values[kBias].template data<T>().data() + direction * 2 * width;
    const size_t merged = spec.linear_before_reset ? 2 * spec.hidden : width;
    std::vector<T> sum(bias, bias + width);
    for (size_t i = 0; i < merged; ++i) sum[i] += bias[width + i];
    T* to = gates.mutable_data<T>().data();
    for (int64_t row = 0; row < rows; ++row, to += width) {
      for (size_t i = 0; i < width; ++i) to[i] += sum[i];
    }
    return gates;
  }

  template <class T>
  static Tensor initial(const Tensor& given, const Sizes& sizes, int64_t direction, Workspace& workspace) {
    Tensor state = zeros<T>({sizes.batch, sizes.hidden}, workspace);
    if (!given.defined()) return state;
    for (int64_t b = 0; b < sizes.batch; ++b) {
      std::copy_n(given.data<T>().data() + sizes.state_row(direction, b) * sizes.hidden, sizes.hidden,
                  state.mutable_data<T>().data() + b * sizes.hidden);
    }
    return state;
  }

  template <class T>
  void run_direction(const CellSpec& spec, const Sizes& sizes, const DirectionProducts& products,
                     const std::vector<Tensor>& values, const std::vector<int64_t>& lengths, size_t direction,
                     std::vector<Tensor>& results, Workspace& workspace) const {
    const auto d = static_cast<int64_t>(direction);
    const bool reversed = first_reversed_ || direction == 1;
    const size_t width = gate_count(spec.kind) * spec.hidden;
    Tensor gates = input_gates<T>(spec, sizes, products, values, direction, workspace);
    Tensor hidden = initial<T>(values[kInitialHidden], sizes, d, workspace);
    Tensor cell = initial<T>(values[kInitialCell], sizes, d, workspace);
    Tensor product;
    CellParameters<T> parameters{
        .activations = std::span(activations_).subspan(direction * per_direction_, per_direction_),
        .times_hidden_weights = [&](const T* reset) {
          const Shape shape{sizes.batch, sizes.hidden};
          const Tensor a = Tensor::of<T>(shape, std::span(reset, static_cast<size_t>(sizes.batch * sizes.hidden)));
          product = products.candidate->multiply(a, workspace);
          return product.template data<T>().data();
        }};
    if (values[kPeepholes].defined()) {
      parameters.peepholes = values[kPeepholes].template data<T>().data() + direction * 3 * spec.hidden;
    }
    if (values[kBias].defined() && spec.linear_before_reset) {
      parameters.reset_bias = values[kBias].template data<T>().data() + direction * 2 * width + width + 2 * spec.hidden;
    }
    T* all_gates = gates.mutable_data<T>().data();
    T* outputs = results[0].mutable_data<T>().data();
    std::vector<T> scratch;
    const int64_t steps = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    for (int64_t t = 0; t < steps; ++t) {
      const Tensor recurrent = products.recurrent->multiply(hidden, workspace);
      StepView<T> view{.gates = {},
                       .recurrent = recurrent.data<T>().data(),
                       .hidden = hidden.mutable_data<T>().data(),
                       .cell = cell.mutable_data<T>().data()};
      const auto place = [&](int64_t b) { return reversed ? lengths[static_cast<size_t>(b)] - 1 - t : t; };
      for (int64_t b = 0; b < sizes.batch; ++b) {
        const bool ended = t >= lengths[static_cast<size_t>(b)];
        view.gates.push_back(ended ? nullptr : all_gates + sizes.input_row(place(b), b) * static_cast<int64_t>(width));
      }
      run_cell(spec, parameters, view, scratch);
      for (int64_t b = 0; b < sizes.batch; ++b) {
        if (t >= lengths[static_cast<size_t>(b)]) continue;
        std::copy_n(view.hidden + b * sizes.hidden, sizes.hidden,
                    outputs + sizes.output_row(place(b), d, b) * sizes.hidden);
      }
    }
    for (int64_t b = 0; b < sizes.batch; ++b) {
      // A sequence without steps has no last output: ONNX says no more, onnxruntime gives 0, not the initial state.
      if (lengths[static_cast<size_t>(b)] == 0) continue;
      const int64_t to = sizes.state_row(d, b) * sizes.hidden;
      std::copy_n(hidden.data<T>().data() + b * sizes.hidden, sizes.hidden, results[1].mutable_data<T>().data() + to);
      std::copy_n(cell.data<T>().data() + b * sizes.hidden, sizes.hidden, results[2].mutable_data<T>().data() + to);
    }
  }

  CellSpec spec_;
  bool batch_first_;
  bool first_reversed_ = false;
  size_t directions_ = 1;
  size_t per_direction_ = 1;
  std::vector<Activation> activations_;  // direction after direction
  std::vector<Operand> operands_;
  std::optional<RecurrentWeights> weights_;  // where they are constant, and float32 or given
  bool given_;
};

}  // namespace

CellSpec cell_spec(const onnx::NodeProto& node) {
  const CellKind kind = node.op_type() == "RNN"   ? CellKind::kRnn
                        : node.op_type() == "GRU" ? CellKind::kGru
                                                  : CellKind::kLstm;
  CellSpec spec{.kind = kind};
  const float clip = graph::float_attribute(node, "clip", 0);
  if (clip > 0) spec.clip = static_cast<double>(clip);
  spec.linear_before_reset = kind == CellKind::kGru && graph::int_attribute(node, "linear_before_reset", 0) != 0;
  spec.input_forget = kind == CellKind::kLstm && graph::int_attribute(node, "input_forget", 0) != 0;
  return spec;
}

KernelPtr make_recurrent(const KernelRequest& request) {
  return std::make_unique<RecurrentKernel>(request);
}

KernelPtr make_recurrent_of(const KernelRequest& request, RecurrentWeights weights) {
  return std::make_unique<RecurrentKernel>(request, std::move(weights));
}

KernelPtr make_rounding_lstm(const KernelRequest& request) {
  return std::make_unique<RecurrentKernel>(request, std::nullopt, /*rounds=*/true);
}

}  // namespace narrow::exec
