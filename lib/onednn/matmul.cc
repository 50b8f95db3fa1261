#include "lib/onednn/matmul.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <mutex>

#include "lib/base/mapped_pages.h"
#include "lib/base/packing_scope.h"
#include "lib/base/parallel.h"
#include "lib/onednn/bound_primitive.h"
#include "lib/onednn/dense32.h"
#include "lib/onednn/dense8.h"
#include "lib/onednn/dense_convolution.h"
#include "lib/onednn/matmul_shapes.h"
#include "lib/onednn/packed_weights.h"
#include "lib/onednn/post_ops.h"
#include "lib/onednn/primitive_cache.h"

namespace narrow::onednn {
namespace {

// Row-major over the stored order, which has the last two axes swapped if the operand is transposed.
dnnl::memory::desc operand_desc(Shape shape, DataType type, bool transposed) {
  if (!transposed) return plain_desc(shape, type);
  const size_t last = shape.size() - 1;
  std::swap(shape[last], shape[last - 1]);
  dnnl::memory::dims strides = plain_desc(shape, type).get_strides();
  std::swap(shape[last], shape[last - 1]);
  std::swap(strides[last], strides[last - 1]);
  return {shape, dnnl_type(type), strides};
}

// oneDNN multiplies by s8 only: u8 codes move down by 128, and so must their zero point.
constexpr int32_t kUnsignedShift = 128;

void shift_to_signed(const Tensor& from, Tensor& to) {
  const auto source = from.data<uint8_t>();
  const auto target = to.mutable_data<int8_t>();
  for (size_t i = 0; i < target.size(); ++i) target[i] = static_cast<int8_t>(source[i] - kUnsignedShift);
}

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0];
  const int64_t columns = matrix.shape()[1];
  Tensor result(DataType::kInt8, {columns, rows});
  const int8_t* source = matrix.data<int8_t>().data();
  int8_t* target = result.mutable_data<int8_t>().data();
  constexpr int64_t kBlock = 64;  // elements of a cache line
  constexpr int64_t kWorthAThread = 1 << 16;
  const int64_t grain = kWorthAThread / std::max<int64_t>(1, rows * kBlock);
  parallel_for((columns + kBlock - 1) / kBlock, grain, [&](int64_t begin, int64_t end) {
    for (int64_t first_row = 0; first_row < rows; first_row += kBlock) {
      const int64_t last_row = std::min(rows, first_row + kBlock);
      for (int64_t c = begin * kBlock; c < std::min(columns, end * kBlock); ++c) {
        for (int64_t r = first_row; r < last_row; ++r) target[c * rows + r] = source[r * columns + c];
      }
    }
  });
  return result;
}

struct MatmulKey {
  PrimitiveKey shapes;
  DataType type_b = DataType::kFloat32;
  bool operator==(const MatmulKey&) const = default;
};

}  // namespace

class Matmul::State {
 public:
  State(MatmulSpec spec, const Tensor& weights, const Tensor& bias);
  Tensor run(const Tensor& a, const Tensor& b, Workspace& workspace, const Tensor& residual) const;
  Shape result_shape(const Shape& a) const;
  std::string implementation() const;

 private:
  Tensor run_over_no_terms(Shape a, Shape b, DataType type_b, Workspace& workspace, const Tensor& residual) const;
  bool is_dense() const;
  void make_dense() const;
  int32_t zero_point_of(DataType type_b) const;
  const PackedWeights& packed(const Shape& shape) const;
  dnnl::primitive_attr attributes(const OutputTransform& transform, const dnnl::memory::desc& product,
                                  int32_t zero_point_b) const;
  std::shared_ptr<const BoundPrimitive> make(const MatmulShapes& shapes, DataType type_b) const;
  BoundPrimitive::Constants constants(const OutputTransform& transform, const dnnl::memory::desc& bias,
                                      int32_t zero_point_b) const;

  const MatmulSpec spec_;
  const Tensor bias_;
  Tensor weights_;                                // float32 or int8; undefined if the second operand comes at run time
  DataType weights_type_ = DataType::kUndefined;  // as given, before the shift to int8
  mutable std::once_flag dense_made_;             // at the first run: a large model may be compiled and never run
  mutable std::unique_ptr<const Dense8> dense8_;  // in oneDNN's place, as dense32_
  mutable std::unique_ptr<const Dense32> dense32_;
  mutable std::map<Shape, PackedWeights> packed_;  // by merged shape; touched only inside cache_.get()
  mutable PrimitiveCache<MatmulKey, BoundPrimitive> cache_;
};

Matmul::State::State(MatmulSpec spec, const Tensor& weights, const Tensor& bias)
    : spec_(std::move(spec)), bias_(bias), weights_(to_layout(weights, Layout::kPlain)), weights_type_(weights.type()) {
  ensure(spec_.weight_zero_point == 0 || spec_.source != DataType::kFloat32, "zero points go with integers");
  if (weights_type_ == DataType::kUint8) {
    weights_ = Tensor(DataType::kInt8, weights.shape());
    shift_to_signed(to_layout(weights, Layout::kPlain), weights_);
  }
}

// One matrix of weights that meets the rows of the first operand.
bool Matmul::State::is_dense() const {
  return !spec_.transpose_a && weights_.defined() && weights_.rank() == 2 && weights_.size() > 0;
}

void Matmul::State::make_dense() const {
  const PackingScope threads(weights_.byte_size());
  const bool bytes = spec_.source == DataType::kUint8 || spec_.source == DataType::kInt8;
  const bool own_kernel = bytes ? zero_point_of(weights_type_) == 0 && Dense8::available()
                                : Dense32::available() && Dense32::computes(spec_.activations);
  if (!own_kernel) return;
  const int64_t columns = weights_.shape()[spec_.transpose_b ? 0 : 1];
  const int64_t rows = weights_.shape()[spec_.transpose_b ? 1 : 0];
  const OutputTransform transform = make_output_transform({.source = spec_.source, .destination = spec_.destination},
                                                          spec_.requantize, spec_.clamp, bias_, columns);
  if (bytes) {
    const Dense8Spec own{.columns = columns,
                         .runs = 1,
                         .run_bytes = rows,
                         .signed_source = spec_.source == DataType::kInt8,
                         .destination = spec_.destination};
    const Tensor by_column = spec_.transpose_b ? weights_ : transposed(weights_);
    dense8_ = std::make_unique<Dense8>(own, by_column.data<int8_t>().data(), transform);
  }
  if (!bytes) {
    const Dense32Spec own{
        .columns = columns, .runs = 1, .terms = rows, .clamp = spec_.clamp, .activations = spec_.activations};
    const Dense32Weights given{.data = weights_.data<float>().data(), .terms_first = !spec_.transpose_b};
    dense32_ = std::make_unique<Dense32>(own, given, transform.bias);
  }
  release_pages(weights_.bytes(), weights_.byte_size());
}

int32_t Matmul::State::zero_point_of(DataType type_b) const {
  return spec_.weight_zero_point - (type_b == DataType::kUint8 ? kUnsignedShift : 0);
}

const PackedWeights& Matmul::State::packed(const Shape& shape) const {
  return packed_.try_emplace(shape, weights_, operand_desc(shape, weights_.type(), spec_.transpose_b)).first->second;
}

dnnl::primitive_attr Matmul::State::attributes(const OutputTransform& transform, const dnnl::memory::desc& product,
                                               int32_t zero_point_b) const {
  dnnl::primitive_attr attributes = base_attributes();
  if (spec_.source == DataType::kFloat32) {
    attributes.set_post_ops(
        make_float_post_ops(spec_.add_residual ? &product : nullptr, spec_.clamp, spec_.activations));
    return attributes;
  }
  const auto rank = static_cast<size_t>(product.get_ndims());
  if (!transform.multipliers.empty() && !transform.bias_first) {
    attributes.set_scales_mask(DNNL_ARG_WEIGHTS, transform.multipliers.size() == 1 ? 0 : 1 << (rank - 1));
  }
  if (transform.source_zero_point != 0) attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
  if (zero_point_b != 0) attributes.set_zero_points_mask(DNNL_ARG_WEIGHTS, 0);
  Shape columns(rank, 1);
  columns.back() = static_cast<int64_t>(transform.multipliers.size());
  attributes.set_post_ops(make_post_ops(transform, plain_desc(columns, DataType::kFloat32)));
  return attributes;
}

BoundPrimitive::Constants Matmul::State::constants(const OutputTransform& transform, const dnnl::memory::desc& bias,
                                                   int32_t zero_point_b) const {
  BoundPrimitive::Constants constants;
  if (!transform.bias.empty()) {
    dnnl::memory memory(bias, cpu_engine());
    std::copy(transform.bias.begin(), transform.bias.end(), static_cast<float*>(memory.get_data_handle()));
    constants.emplace_back(DNNL_ARG_BIAS, memory);
  }
  if (!transform.multipliers.empty()) {
    constants.emplace_back(transform.bias_first ? kFirstPostOperand : DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
                           constant_memory<float>(transform.multipliers));
  }
  const auto add_zero_point = [&](int argument, int32_t value) {
    if (value == 0) return;
    constants.emplace_back(DNNL_ARG_ATTR_ZERO_POINTS | argument, constant_memory<int32_t>(std::array{value}));
  };
  add_zero_point(DNNL_ARG_SRC, transform.source_zero_point);
  add_zero_point(DNNL_ARG_WEIGHTS, zero_point_b);
  return constants;
}

std::shared_ptr<const BoundPrimitive> Matmul::State::make(const MatmulShapes& shapes, DataType type_b) const {
  const size_t rank = shapes.product.size();
  const int32_t zero_point_b = zero_point_of(type_b);
  const OutputTransform transform = make_output_transform({.source = spec_.source, .destination = spec_.destination},
                                                          spec_.requantize, spec_.clamp, bias_, shapes.product.back());
  const auto desc_a = operand_desc(shapes.a, spec_.source, spec_.transpose_a);
  const auto desc_b = weights_.defined() ? packed(shapes.b).any_desc()
                                         : operand_desc(shapes.b, type_b == DataType::kUint8 ? DataType::kInt8 : type_b,
                                                        spec_.transpose_b);
  const auto desc_product = plain_desc(shapes.product, spec_.destination);
  Shape bias_shape(rank, 1);
  bias_shape.back() = shapes.product.back();
  const auto desc_bias = transform.bias.empty() ? dnnl::memory::desc() : plain_desc(bias_shape, DataType::kFloat32);
  const auto descriptor = translating_errors(ErrorKind::kUnsupported, "matrix product", [&] {
    return dnnl::matmul::primitive_desc(cpu_engine(), desc_a, desc_b, desc_bias, desc_product,
                                        attributes(transform, desc_product, zero_point_b));
  });
  return translating_errors(ErrorKind::kInternal, "matrix product", [&] {
    auto fixed = constants(transform, desc_bias, zero_point_b);
    std::vector<BoundPrimitive::Argument> arguments{{DNNL_ARG_SRC, desc_a}, {DNNL_ARG_DST, desc_product}};
    if (weights_.defined()) {
      fixed.emplace_back(DNNL_ARG_WEIGHTS, packed(shapes.b).get(descriptor.weights_desc()));
    } else {
      arguments.push_back({DNNL_ARG_WEIGHTS, desc_b});
    }
    if (spec_.add_residual) arguments.push_back({kFirstPostOperand, desc_product});
    return std::make_shared<const BoundPrimitive>(descriptor, dnnl::matmul(descriptor), std::move(fixed),
                                                  std::move(arguments));
  });
}

// oneDNN knows no such sums. They are those over one term, 0 times 0: what comes behind the sums is as ever.
Tensor Matmul::State::run_over_no_terms(Shape a, Shape b, DataType type_b, Workspace& workspace,
                                        const Tensor& residual) const {
  a[a.size() == 1 ? 0 : a.size() - (spec_.transpose_a ? 2 : 1)] = 1;
  b[b.size() == 1 ? 0 : b.size() - (spec_.transpose_b ? 1 : 2)] = 1;
  Tensor left(spec_.source, a);
  Tensor right(type_b, b);
  const int32_t zero = spec_.requantize ? spec_.requantize->source_zero_point : 0;  // of integers
  std::memset(left.mutable_bytes(), static_cast<uint8_t>(zero), left.byte_size());
  std::memset(right.mutable_bytes(), 0, right.byte_size());
  return State(spec_, Tensor(), bias_).run(left, right, workspace, residual);
}

Tensor Matmul::State::run(const Tensor& a, const Tensor& b, Workspace& workspace, const Tensor& residual) const {
  ensure(a.type() == spec_.source, "the first operand has the type of the specification");
  ensure(b.defined() != weights_.defined(), "the second operand is given either once or at every run");
  const DataType type_b = weights_.defined() ? weights_type_ : b.type();
  if ((type_b == DataType::kFloat32) != (spec_.source == DataType::kFloat32)) {
    throw Error(ErrorKind::kUnsupported, "{} times {}", data_type_name(a.type()), data_type_name(type_b));
  }
  const Shape& shape_b = weights_.defined() ? weights_.shape() : b.shape();
  MatmulShapes shapes = make_matmul_shapes(a.shape(), shape_b, {.a = spec_.transpose_a, .b = spec_.transpose_b});
  Tensor result = workspace.allocate(spec_.destination, shapes.result);
  if (result.size() == 0) return result;
  if (shapes.a.back() == 0) return run_over_no_terms(a.shape(), shape_b, type_b, workspace, residual);
  const Tensor plain_a = to_layout(a, Layout::kPlain, workspace);
  if (spec_.add_residual) {
    ensure(
        residual.shape() == result.shape() && residual.layout() == Layout::kPlain && residual.type() == result.type(),
        "the residual is like the result");
  }
  if (is_dense()) std::call_once(dense_made_, [&] { make_dense(); });
  const DenseRows rows{.source = plain_a.bytes(),
                       .residual = spec_.add_residual ? residual.bytes() : nullptr,
                       .result = result.mutable_bytes(),
                       .count = shapes.a[0]};
  if (dense8_) multiply_rows(*dense8_, rows);
  if (dense32_) multiply_rows(*dense32_, rows);
  if (dense8_ || dense32_) return result;

  const MatmulKey key{.shapes = {.source = shapes.a, .other = shapes.b, .threads = thread_count()}, .type_b = type_b};
  const auto primitive = cache_.get(key, [&] {
    const auto plan = [&] { return make(shapes, type_b); };
    const double operations = static_cast<double>(result.size()) * static_cast<double>(shapes.a.back());
    return plan_threads(plan, {.operations = operations, .type = spec_.source});
  });
  const size_t residuals = spec_.add_residual ? 1 : 0;
  if (weights_.defined()) {
    const std::array data{plain_a.bytes(), std::as_const(result).bytes(), residual.bytes()};
    primitive->execute(std::span(data).first(2 + residuals), workspace);
    return result;
  }
  Tensor plain_b = to_layout(b, Layout::kPlain, workspace);
  if (type_b == DataType::kUint8) {
    Tensor shifted = workspace.allocate(DataType::kInt8, plain_b.shape());
    shift_to_signed(plain_b, shifted);
    plain_b = std::move(shifted);
  }
  const std::array data{plain_a.bytes(), std::as_const(result).bytes(), plain_b.bytes(), residual.bytes()};
  primitive->execute(std::span(data).first(3 + residuals), workspace);
  return result;
}

Shape Matmul::State::result_shape(const Shape& a) const {
  return make_matmul_shapes(a, weights_.shape(), {.a = spec_.transpose_a, .b = spec_.transpose_b}).result;
}

std::string Matmul::State::implementation() const {
  if (dense8_) return "narrow:dense:avx512_vnni";
  if (dense32_) return "narrow:dense:avx512";
  const auto primitive = cache_.latest();
  return primitive ? primitive->implementation() : "onednn";
}

Matmul::Matmul(MatmulSpec spec, const Tensor& weights, const Tensor& bias)
    : state_(std::make_unique<State>(std::move(spec), weights, bias)) {}
Matmul::Matmul(MatmulSpec spec) : Matmul(std::move(spec), Tensor(), Tensor()) {}
Matmul::~Matmul() = default;

Tensor Matmul::run(const Tensor& a, const Tensor& b, Workspace& workspace, const Tensor& residual) const {
  return state_->run(a, b, workspace, residual);
}

Shape Matmul::result_shape(const Shape& a) const {
  return state_->result_shape(a);
}

std::string Matmul::implementation() const {
  return state_->implementation();
}

}  // namespace narrow::onednn
