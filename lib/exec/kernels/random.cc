// The random operators, where a seed makes them repeatable. Other runtimes draw other numbers from the same seed.
#include "lib/exec/kernels/random.h"

#include <cmath>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {

double RandomNumbers::uniform() {
  const auto high = static_cast<double>(generator_() >> 5);
  const auto low = static_cast<double>(generator_() >> 6);
  return (high * 0x1p26 + low) / 0x1p53;
}

double RandomNumbers::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double x = 0;
  double y = 0;
  double square = 0;
  do {
    x = 2 * uniform() - 1;
    y = 2 * uniform() - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  spare_ = factor * x;
  has_spare_ = true;
  return factor * y;
}

namespace {

uint32_t seed_of(const KernelRequest& request) {
  const auto* attribute = graph::find_attribute(*request.node, "seed");
  if (attribute == nullptr) refuse(request, "random, and without a seed attribute no two runs would agree");
  return static_cast<uint32_t>(static_cast<int64_t>(graph::float_attribute(*request.node, "seed", 0.0F)));
}

// The type that dtype names, or `otherwise`.
DataType type_or(int64_t attribute, DataType otherwise) {
  return attribute == 0 ? otherwise : static_cast<DataType>(attribute);
}

template <class Draw>
Tensor drawn(DataType type, const Shape& shape, Workspace& workspace, Draw draw) {
  Tensor wide = workspace.allocate(DataType::kFloat64, shape);
  for (double& value : wide.mutable_data<double>()) value = draw();
  return cast_tensor(wide, type, workspace);
}

}  // namespace

// RandomNormal, RandomUniform and their Like forms, which have the shape (and type) of their input.
KernelPtr make_random(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const uint32_t seed = seed_of(request);
  const bool like = node.op_type().ends_with("Like");
  const bool is_normal = node.op_type().starts_with("RandomNormal");
  const auto number = [&](const char* name, float otherwise) {
    return static_cast<double>(graph::float_attribute(node, name, otherwise));
  };
  const double start = is_normal ? number("mean", 0.0F) : number("low", 0.0F);
  const double width = is_normal ? number("scale", 1.0F) : number("high", 1.0F) - start;
  const int64_t dtype = graph::int_attribute(node, "dtype", 0);
  const Shape attribute = graph::ints_attribute(node, "shape");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    RandomNumbers numbers(seed);
    const Shape& shape = like ? required(inputs, 0).shape() : attribute;
    outputs[0] = drawn(type_or(dtype, like ? inputs[0].type() : DataType::kFloat32), shape, workspace,
                       [&] { return start + width * (is_normal ? numbers.normal() : numbers.uniform()); });
  });
}

KernelPtr make_bernoulli(const KernelRequest& request) {
  const uint32_t seed = seed_of(request);
  const int64_t dtype = graph::int_attribute(*request.node, "dtype", 0);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    RandomNumbers numbers(seed);
    const Tensor odds = cast_tensor(required(inputs, 0), DataType::kFloat64, workspace);
    const double* probability = odds.data<double>().data();
    outputs[0] = drawn(type_or(dtype, inputs[0].type()), odds.shape(), workspace, [&] {
      const double p = *probability++;
      // One trial by inversion, from the rarer side.
      const double u = numbers.uniform();
      const bool hit = p <= 0.5 ? u > 1 - p : u <= p;
      return hit ? 1.0 : 0.0;
    });
  });
}

// Rows of unnormalized log-probabilities -> `sample_size` classes each, by the inverse of their distribution.
KernelPtr make_multinomial(const KernelRequest& request) {
  const uint32_t seed = seed_of(request);
  const int64_t samples = graph::int_attribute(*request.node, "sample_size", 1);
  const int64_t dtype = graph::int_attribute(*request.node, "dtype", 0);
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    RandomNumbers numbers(seed);
    const Tensor logits = cast_tensor(required(inputs, 0), DataType::kFloat64, workspace);
    if (logits.rank() != 2 || logits.shape()[1] < 1) {
      throw Error(ErrorKind::kModel, "expected rows of classes, got {}", shape_text(logits.shape()));
    }
    const int64_t classes = logits.shape()[1];
    std::vector<double> sums(static_cast<size_t>(classes));
    int64_t drawn_count = 0;
    outputs[0] = drawn(type_or(dtype, DataType::kInt32), {logits.shape()[0], samples}, workspace, [&] {
      const double* row = logits.data<double>().data() + drawn_count / samples * classes;
      if (drawn_count++ % samples == 0) {
        const double top = *std::max_element(row, row + classes);
        double sum = 0;
        for (size_t c = 0; c < sums.size(); ++c) sums[c] = sum += std::exp(row[c] - top);
      }
      const double target = numbers.uniform() * sums.back();
      const auto found = std::upper_bound(sums.begin(), sums.end() - 1, target);
      return static_cast<double>(found - sums.begin());
    });
  });
}

// Inverted dropout: what stays is scaled by 1 / (1 - ratio). In inference, or with ratio 0, the data itself.
KernelPtr make_dropout(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const bool by_input = request.opset >= 12;
  const Operand ratio_operand = by_input ? Operand(request, 1) : Operand();
  const Operand training_operand = by_input ? Operand(request, 2) : Operand();
  if (request.opset < 7 && graph::int_attribute(node, "is_test", 0) == 0) refuse(request, "training mode");
  const bool seeded = graph::find_attribute(node, "seed") != nullptr;
  const auto seed = static_cast<uint32_t>(graph::int_attribute(node, "seed", 0));
  // The order of the elements matters to nobody in inference.
  const bool infers = !training_operand.present() ||
                      (training_operand.constant().defined() && scalar_value(training_operand.constant()) == 0);
  const DataType mask_type = request.opset >= 10 ? DataType::kBool : DataType::kUndefined;
  // Opset 12 says that inference keeps all; before, ONNX says nothing and onnxruntime's mask is of zeros.
  const bool keeps_all = by_input;
  return kernel_of(
      [=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
        const Tensor& training = training_operand.in(inputs);
        const Tensor& given = ratio_operand.in(inputs);
        const double ratio = !training.defined() || scalar_value(training) == 0 ? 0.0
                             : given.defined()                                  ? scalar_value(given)
                                                                                : 0.5;
        if (ratio != 0 && !seeded) {
          throw Error(ErrorKind::kUnsupported, "random: training mode without a seed attribute");
        }
        outputs[0] = required(inputs, 0);
        inputs[0] = Tensor();
        Tensor& data = outputs[0];
        const bool wants_mask = outputs.size() > 1;
        if (ratio == 0 && !wants_mask) return;
        Tensor mask = workspace.allocate(DataType::kBool, data.shape(), data.layout());
        for (bool& kept : mask.mutable_data<bool>()) kept = keeps_all;
        if (ratio != 0) {
          RandomNumbers numbers(seed);
          for (bool& kept : mask.mutable_data<bool>()) kept = numbers.uniform() >= ratio;
          dispatch_type(FloatTypes(), data.type(), [&]<class T>() {
            const T scale = static_cast<T>(1 / (1 - ratio));
            const auto values = data.mutable_data<T>();
            for (size_t i = 0; i < values.size(); ++i) values[i] = mask.data<bool>()[i] ? values[i] * scale : T{0};
          });
        }
        if (wants_mask) outputs[1] = mask_type == DataType::kBool ? mask : cast_tensor(mask, data.type(), workspace);
      },
      infers ? LayoutUse::kAny : LayoutUse::kPlain);
}

}  // namespace narrow::exec
