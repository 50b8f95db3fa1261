// RNN, GRU and LSTM: one matrix product of all steps' inputs, then a small one for each step's state.
#include <algorithm>
#include <cmath>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/concat.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/recurrent_cell.h"
#include "lib/exec/kernels/support.h"
#include "lib/onednn/matmul.h"

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

/// The right operand of y = a * matrix^T.
struct Factor {
  Tensor matrix;  // [rows, columns]
  std::shared_ptr<const onednn::Matmul> matmul;
  bool packed = false;  // matmul has the matrix inside
  bool rounds = false;  // a is rounded to the codes that DynamicQuantizeLinear gives it
};

/// The values of the codes of 8 bits that cover the tensor's range.
Tensor rounded_to_bytes(const Tensor& x, Workspace& workspace) {
  constexpr float kSteps = 255;
  const auto values = x.data<float>();
  float low = 0;
  float high = 0;
  for (const float value : values) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float scale = low == high ? 1 : (high - low) / kSteps;
  const float zero = std::nearbyint(std::clamp(-low / scale, 0.0F, kSteps));
  Tensor result = workspace.allocate(DataType::kFloat32, x.shape());
  std::transform(values.begin(), values.end(), result.mutable_data<float>().begin(), [&](float value) {
    return (std::clamp(std::nearbyint(value / scale) + zero, 0.0F, kSteps) - zero) * scale;
  });
  return result;
}

// Rows [begin, begin + count) of direction d of [directions, rows, columns].
Factor make_factor(const Tensor& weights, size_t direction, Piece rows, bool constant, Workspace& workspace) {
  const Tensor own = piece_of(weights, {.axis = 0, .begin = static_cast<int64_t>(direction), .size = 1}, workspace);
  Factor factor{.matrix = piece_of(own, rows, workspace).reshaped({rows.size, weights.shape()[2]})};
  if (weights.type() != DataType::kFloat32) return factor;
  const onednn::MatmulSpec spec{.transpose_b = true, .clamp = {}, .requantize = std::nullopt};
  factor.packed = constant;
  factor.matmul = constant ? std::make_shared<const onednn::Matmul>(spec, factor.matrix, Tensor())
                           : std::make_shared<const onednn::Matmul>(spec);
  return factor;
}

Tensor multiply(const Tensor& given, const Factor& factor, Workspace& workspace) {
  const Tensor a = factor.rounds ? rounded_to_bytes(given, workspace) : given;
  if (factor.matmul) return factor.matmul->run(a, factor.packed ? Tensor() : factor.matrix, workspace);
  const int64_t rows = a.shape()[0];
  const int64_t columns = factor.matrix.shape()[0];
  const int64_t depth = a.shape()[1];
  Tensor result = workspace.allocate(DataType::kFloat64, {rows, columns});
  double* y = result.mutable_data<double>().data();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      const double* left = a.data<double>().data() + i * depth;
      const double* right = factor.matrix.data<double>().data() + j * depth;
      for (int64_t k = 0; k < depth; ++k) sum += left[k] * right[k];
      y[i * columns + j] = sum;
    }
  }
  return result;
}

/// The matrices of one direction.
struct Matrices {
  Factor input;      // W
  Factor recurrent;  // R; of a GRU that resets before its product, the rows of z and r
  Factor candidate;  // those of h, there
};

Matrices make_matrices(const CellSpec& spec, const Tensor& w, const Tensor& r, size_t direction, bool constant,
                       Workspace& workspace) {
  const auto hidden = static_cast<int64_t>(spec.hidden);
  const int64_t rows = static_cast<int64_t>(gate_count(spec.kind)) * hidden;
  const bool apart = spec.kind == CellKind::kGru && !spec.linear_before_reset;
  const int64_t first = apart ? 2 * hidden : rows;
  Matrices matrices;
  matrices.input = make_factor(w, direction, {.axis = 1, .begin = 0, .size = rows}, constant, workspace);
  matrices.recurrent = make_factor(r, direction, {.axis = 1, .begin = 0, .size = first}, constant, workspace);
  if (apart) {
    matrices.candidate = make_factor(r, direction, {.axis = 1, .begin = first, .size = hidden}, constant, workspace);
  }
  return matrices;
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
  /// `rounds`: what constant weights multiply is rounded to 8 bits.
  RecurrentKernel(const KernelRequest& request, CellSpec spec, const std::vector<ActivationKind>& defaults,
                  bool rounds = false)
      : spec_(spec), batch_first_(graph::int_attribute(*request.node, "layout", 0) != 0) {
    const std::string direction = graph::string_attribute(*request.node, "direction", "forward");
    if (direction != "forward" && direction != "reverse" && direction != "bidirectional") {
      refuse(request, fmt::format("there is no direction '{}'", direction));
    }
    directions_ = direction == "bidirectional" ? 2 : 1;
    first_reversed_ = direction == "reverse";
    activations_ = read_activations(request, defaults, directions_);
    per_direction_ = defaults.size();
    for (size_t i = 0; i < kInputs; ++i) operands_.emplace_back(request, i);
    const Tensor& w = operands_[kW].constant();
    const Tensor& r = operands_[kR].constant();
    if (!w.defined() || !r.defined() || w.type() != DataType::kFloat32) return;
    Workspace workspace;
    const CellSpec sized = with_hidden(r);
    check_weights(sized, w, r);
    for (size_t d = 0; d < directions_; ++d) {
      packed_.push_back(make_matrices(sized, w, r, d, true, workspace));
      packed_.back().input.rounds = packed_.back().recurrent.rounds = rounds;
    }
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const DataType type = operands_[kX].required_in(inputs).type();
    std::vector<Tensor> values;
    for (const Operand& operand : operands_) values.push_back(operand.in(inputs));
    const bool wide = type == DataType::kFloat64;
    for (size_t i = 0; i < kInputs; ++i) {
      if (i == kLengths || !values[i].defined()) continue;
      if (values[i].type() != type) throw Error(ErrorKind::kModel, "inputs of different types");
      if (!wide) values[i] = cast_tensor(values[i], DataType::kFloat32, workspace);
    }
    std::vector<Tensor> results = wide ? compute<double>(values, workspace) : compute<float>(values, workspace);
    for (size_t i = 0; i < outputs.size(); ++i) outputs[i] = cast_tensor(results.at(i), type, workspace);
  }

  std::string implementation() const override {
    return packed_.empty() ? "reference" : "onednn:" + packed_[0].recurrent.matmul->implementation();
  }

 private:
  CellSpec with_hidden(const Tensor& r) const {
    CellSpec spec = spec_;
    if (r.rank() != 3) throw Error(ErrorKind::kModel, "recurrent weights {}", shape_text(r.shape()));
    spec.hidden = static_cast<size_t>(r.shape()[2]);
    return spec;
  }

  void check_weights(const CellSpec& spec, const Tensor& w, const Tensor& r) const {
    const auto rows = static_cast<int64_t>(gate_count(spec.kind) * spec.hidden);
    const auto fits = [&](const Tensor& tensor) {
      return tensor.rank() == 3 && tensor.shape()[0] == static_cast<int64_t>(directions_) && tensor.shape()[1] == rows;
    };
    if (!fits(w) || !fits(r)) {
      throw Error(ErrorKind::kModel, "weights {} and {} of {} directions and {} gates", shape_text(w.shape()),
                  shape_text(r.shape()), directions_, gate_count(spec.kind));
    }
  }

  static void check_shape(const Tensor& tensor, const Shape& shape, std::string_view what) {
    if (!tensor.defined() || tensor.shape() == shape) return;
    throw Error(ErrorKind::kModel, "{} is {}, expected {}", what, shape_text(tensor.shape()), shape_text(shape));
  }

  Sizes sizes_of(const CellSpec& spec, const std::vector<Tensor>& values) const {
    const Shape& x = values[kX].shape();
    if (x.size() != 3 || x[2] != values[kW].shape()[2]) {
      throw Error(ErrorKind::kModel, "input {} for weights {}", shape_text(x), shape_text(values[kW].shape()));
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
    const Tensor& r = values[kR];
    if (!values[kW].defined() || !r.defined()) throw Error(ErrorKind::kModel, "weights are absent");
    const CellSpec spec = with_hidden(r);
    check_weights(spec, values[kW], r);
    const Sizes sizes = sizes_of(spec, values);
    const std::vector<int64_t> lengths = lengths_of(values[kLengths], sizes);
    std::vector<Tensor> results;
    results.push_back(zeros<T>(sizes.output_shape(), workspace));
    for (int i = 0; i < 2; ++i) results.push_back(zeros<T>(sizes.state_shape(), workspace));
    for (size_t d = 0; d < directions_; ++d) {
      const Matrices matrices = packed_.empty() ? make_matrices(spec, values[kW], r, d, false, workspace) : packed_[d];
      run_direction<T>(spec, sizes, matrices, values, lengths, d, results, workspace);
    }
    return results;
  }

  // x W^T + W's bias + R's bias, but for the part of R's that a GRU resets along with its product.
  template <class T>
  static Tensor input_gates(const CellSpec& spec, const Sizes& sizes, const Matrices& matrices,
                            const std::vector<Tensor>& values, size_t direction, Workspace& workspace) {
    const Tensor& x = values[kX];
    const int64_t rows = sizes.steps * sizes.batch;
    const size_t width = gate_count(spec.kind) * spec.hidden;
    if (rows == 0) return workspace.allocate(data_type_of<T>(), {0, static_cast<int64_t>(width)});
    Tensor gates = multiply(x.reshaped({rows, x.shape()[2]}), matrices.input, workspace);
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
  void run_direction(const CellSpec& spec, const Sizes& sizes, const Matrices& matrices,
                     const std::vector<Tensor>& values, const std::vector<int64_t>& lengths, size_t direction,
                     std::vector<Tensor>& results, Workspace& workspace) const {
    const auto d = static_cast<int64_t>(direction);
    const bool reversed = first_reversed_ || direction == 1;
    const size_t width = gate_count(spec.kind) * spec.hidden;
    Tensor gates = input_gates<T>(spec, sizes, matrices, values, direction, workspace);
    Tensor hidden = initial<T>(values[kInitialHidden], sizes, d, workspace);
    Tensor cell = initial<T>(values[kInitialCell], sizes, d, workspace);
    Tensor product;
    CellParameters<T> parameters{
        .activations = std::span(activations_).subspan(direction * per_direction_, per_direction_),
        .times_hidden_weights = [&](const T* reset) {
          const Shape shape{sizes.batch, sizes.hidden};
          const Tensor a = Tensor::of<T>(shape, std::span(reset, static_cast<size_t>(sizes.batch * sizes.hidden)));
          product = multiply(a, matrices.candidate, workspace);
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
      const Tensor recurrent = multiply(hidden, matrices.recurrent, workspace);
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
  std::vector<Matrices> packed_;  // by direction, where the weights are constant float32
};

CellSpec spec_of(const KernelRequest& request, CellKind kind) {
  const onnx::NodeProto& node = *request.node;
  CellSpec spec{.kind = kind};
  const float clip = graph::float_attribute(node, "clip", 0);
  if (clip > 0) spec.clip = static_cast<double>(clip);
  spec.linear_before_reset = kind == CellKind::kGru && graph::int_attribute(node, "linear_before_reset", 0) != 0;
  spec.input_forget = kind == CellKind::kLstm && graph::int_attribute(node, "input_forget", 0) != 0;
  return spec;
}

}  // namespace

KernelPtr make_rnn(const KernelRequest& request) {
  const std::vector<ActivationKind> defaults{ActivationKind::kTanh};
  return std::make_unique<RecurrentKernel>(request, spec_of(request, CellKind::kRnn), defaults);
}

KernelPtr make_gru(const KernelRequest& request) {
  const std::vector<ActivationKind> defaults{ActivationKind::kSigmoid, ActivationKind::kTanh};
  return std::make_unique<RecurrentKernel>(request, spec_of(request, CellKind::kGru), defaults);
}

namespace {

KernelPtr make_lstm_kernel(const KernelRequest& request, bool rounds) {
  const std::vector<ActivationKind> defaults{ActivationKind::kSigmoid, ActivationKind::kTanh, ActivationKind::kTanh};
  return std::make_unique<RecurrentKernel>(request, spec_of(request, CellKind::kLstm), defaults, rounds);
}

}  // namespace

KernelPtr make_lstm(const KernelRequest& request) {
  return make_lstm_kernel(request, false);
}

KernelPtr make_rounding_lstm(const KernelRequest& request) {
  return make_lstm_kernel(request, true);
}

}  // namespace narrow::exec
