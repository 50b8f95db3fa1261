#include "lib/runtime/kernels/elementwise.h"

#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/runtime/kernels/elementwise.cc"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace narrow::runtime::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::Rebind<int32_t, FloatTag>;
using ByteTag = hn::Rebind<uint8_t, FloatTag>;
using FloatVec = hn::Vec<FloatTag>;

// int8 is handled as uint8 with the sign bit flipped and 128 added to the zero point: one loop serves both.
struct Biased {
  explicit Biased(const Affine8& p)
      : flip(p.is_signed ? 0x80 : 0),
        zero_point(static_cast<float>(p.zero_point + (p.is_signed ? 128 : 0))),
        scale(p.scale) {}
  uint8_t flip;
  float zero_point;
  float scale;
};

HWY_INLINE FloatVec load_real(const Biased& p, const uint8_t* q) {
  const FloatTag df;
  const ByteTag d8;
  const auto bytes = hn::Xor(hn::LoadU(d8, q), hn::Set(d8, p.flip));
  const auto centred = hn::Sub(hn::ConvertTo(df, hn::PromoteTo(IntTag(), bytes)), hn::Set(df, p.zero_point));
  return hn::Mul(centred, hn::Set(df, p.scale));
}

// The byte's number itself, without a zero point.
HWY_INLINE FloatVec load_integer(uint8_t flip, const uint8_t* q) {
  const FloatTag df;
  const ByteTag d8;
  const auto bytes = hn::Xor(hn::LoadU(d8, q), hn::Set(d8, flip));
  return hn::Sub(hn::ConvertTo(df, hn::PromoteTo(IntTag(), bytes)), hn::Set(df, static_cast<float>(flip)));
}

// Half to even; for numbers within int32's range, which spares the conversion's test for others.
HWY_INLINE hn::Vec<IntTag> round_within_range(FloatVec x) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Vec<IntTag>{_mm512_cvtps_epi32(x.raw)};
#else
  return hn::NearestInt(x);
#endif
}

// Clamping before rounding equals saturating after it, since the limits are integers; it keeps the conversion in range.
HWY_INLINE void store_steps(float zero_point, uint8_t flip, FloatVec steps, uint8_t* q) {
  const FloatTag df;
  const ByteTag d8;
  const FloatVec zero = hn::Set(df, zero_point);
  steps = hn::IfThenElseZero(hn::Eq(steps, steps), steps);
  steps = hn::Max(steps, hn::Neg(zero));
  steps = hn::Min(steps, hn::Sub(hn::Set(df, 255.0F), zero));
  const auto integers = hn::Add(round_within_range(steps), round_within_range(zero));
  hn::StoreU(hn::Xor(hn::DemoteTo(d8, integers), hn::Set(d8, flip)), d8, q);
}

HWY_INLINE void store_quantized(const Biased& p, FloatVec real, uint8_t* q) {
  store_steps(p.zero_point, p.flip, hn::Div(real, hn::Set(FloatTag(), p.scale)), q);
}

void quantize_impl(const Affine8& params, const float* x, uint8_t* q, size_t count) {
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  const Biased p(params);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) store_quantized(p, hn::LoadU(df, x + i), q + i);
  if (i == count) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / sizeof(float)] = {};
  HWY_ALIGN uint8_t bytes[HWY_MAX_BYTES];
  for (size_t k = i; k < count; ++k) rest[k - i] = x[k];
  store_quantized(p, hn::LoadU(df, rest), bytes);
  for (size_t k = i; k < count; ++k) q[k] = bytes[k - i];
}

void dequantize_impl(const Affine8& params, const uint8_t* q, float* x, size_t count) {
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  const Biased p(params);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(load_real(p, q + i), df, x + i);
  for (; i < count; ++i) x[i] = (static_cast<float>(q[i] ^ p.flip) - p.zero_point) * p.scale;
}

void dequantize_columns_impl(const ColumnParams& params, const uint8_t* q, float* x, size_t count) {
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  const uint8_t flip = params.is_signed ? 0x80 : 0;
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto centred = hn::Sub(load_integer(flip, q + i), hn::LoadU(df, params.zero_points + i));
    hn::StoreU(hn::Mul(centred, hn::LoadU(df, params.scales + i)), df, x + i);
  }
  for (; i < count; ++i) {
    const float integer = static_cast<float>(q[i] ^ flip) - static_cast<float>(flip);
    x[i] = (integer - params.zero_points[i]) * params.scales[i];
  }
}

// Rounded once on every CPU.
HWY_INLINE FloatVec fused_multiply_add(FloatVec a, FloatVec b, FloatVec c) {
#if HWY_NATIVE_FMA
  return hn::MulAdd(a, b, c);
#else
  const FloatTag df;
  HWY_ALIGN float x[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float y[HWY_MAX_BYTES / sizeof(float)];
  HWY_ALIGN float z[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(a, df, x);
  hn::Store(b, df, y);
  hn::Store(c, df, z);
  for (size_t i = 0; i < hn::Lanes(df); ++i) z[i] = std::fma(x[i], y[i], z[i]);
  return hn::Load(df, z);
#endif
}

template <BinaryOp op>
class ByDefinition {
 public:
  explicit ByDefinition(const BinaryStep& step)
      : a_(step.a), b_(step.b), y_(step.y), low_(step.low), high_(step.high) {}

  HWY_INLINE void operator()(const uint8_t* a, const uint8_t* b, uint8_t* y) const {
    const FloatTag df;
    const FloatVec real = combine(load_real(a_, a), load_real(b_, b));
    store_quantized(y_, hn::Min(hn::Max(real, hn::Set(df, low_)), hn::Set(df, high_)), y);
  }

 private:
  static HWY_INLINE FloatVec combine(FloatVec a, FloatVec b) {
    if constexpr (op == BinaryOp::kAdd) return hn::Add(a, b);
    if constexpr (op == BinaryOp::kSub) return hn::Sub(a, b);
    if constexpr (op == BinaryOp::kMul) return hn::Mul(a, b);
    if constexpr (op == BinaryOp::kMax) return hn::Max(a, b);
    if constexpr (op == BinaryOp::kMin) return hn::Min(a, b);
    const FloatVec quotient = hn::Div(a, b);
    return hn::IfThenElseZero(hn::Eq(quotient, quotient), quotient);
  }

  Biased a_;
  Biased b_;
  Biased y_;
  float low_;
  float high_;
};

class SumOfSteps {
 public:
  explicit SumOfSteps(const BinaryStep& step) : terms_(sum_terms(step)), flip_(Biased(step.y).flip) {}

  HWY_INLINE void operator()(const uint8_t* a, const uint8_t* b, uint8_t* y) const {
    const FloatTag df;
    const FloatVec second =
        fused_multiply_add(load_integer(flip_, b), hn::Set(df, terms_.b), hn::Set(df, terms_.constant));
    const FloatVec sum = fused_multiply_add(load_integer(flip_, a), hn::Set(df, terms_.a), second);
    store_steps(static_cast<float>(flip_), flip_, sum, y);
  }

 private:
  SumTerms terms_;
  uint8_t flip_;
};

// The same where no term is so large that sums leave int32: no test for NaN, and below, the conversion to bytes
// saturates by itself.
template <class Integer>
class SumOfPlainSteps {
 public:
  explicit SumOfPlainSteps(const BinaryStep& step) : terms_(sum_terms(step)) {}

  static bool fits(const BinaryStep& step) {
    constexpr float kLarge = 1e6F;
    const SumTerms terms = sum_terms(step);
    return std::abs(terms.a) < kLarge && std::abs(terms.b) < kLarge && std::abs(terms.constant) < kLarge &&
           step.y.is_signed == std::is_signed_v<Integer>;
  }

  HWY_INLINE void operator()(const uint8_t* a, const uint8_t* b, uint8_t* y) const {
    const FloatTag df;
    const hn::Rebind<Integer, FloatTag> d8;
    const auto load = [&](const uint8_t* q) HWY_ATTR {
      return hn::ConvertTo(df, hn::PromoteTo(IntTag(), hn::LoadU(d8, reinterpret_cast<const Integer*>(q))));
    };
    const FloatVec second = fused_multiply_add(load(b), hn::Set(df, terms_.b), hn::Set(df, terms_.constant));
    const FloatVec sum = fused_multiply_add(load(a), hn::Set(df, terms_.a), second);
    hn::StoreU(hn::DemoteTo(d8, round_within_range(sum)), d8, reinterpret_cast<Integer*>(y));
  }

 private:
  SumTerms terms_;
};

class ProductOfSteps {
 public:
  explicit ProductOfSteps(const BinaryStep& step)
      : a_(step.a),
        b_(step.b),
        flip_(a_.flip),
        scale_(product_scale(step)),
        zero_point_(static_cast<float>(step.y.zero_point)) {
    a_.scale = b_.scale = 1;
  }

  HWY_INLINE void operator()(const uint8_t* a, const uint8_t* b, uint8_t* y) const {
    const FloatTag df;
    const FloatVec product = hn::Mul(load_real(a_, a), load_real(b_, b));
    const FloatVec steps = hn::Add(hn::Mul(product, hn::Set(df, scale_)), hn::Set(df, zero_point_));
    store_steps(static_cast<float>(flip_), flip_, steps, y);
  }

 private:
  Biased a_;
  Biased b_;
  uint8_t flip_;
  float scale_;
  float zero_point_;
};

struct Operands {
  const uint8_t* a;
  OperandStep a_step;
  const uint8_t* b;
  OperandStep b_step;
};

// `one` computes as many elements as a vector has lanes.
template <class One>
void binary_loop(const One& one, const Operands& from, uint8_t* y, size_t count) {
  const size_t lanes = hn::Lanes(FloatTag());
  HWY_ALIGN uint8_t rest_a[HWY_MAX_BYTES];
  HWY_ALIGN uint8_t rest_b[HWY_MAX_BYTES];
  HWY_ALIGN uint8_t rest_y[HWY_MAX_BYTES];
  for (size_t k = 0; k < lanes; ++k) {
    rest_a[k] = from.a[0];
    rest_b[k] = from.b[0];
  }
  const bool a_varies = from.a_step == OperandStep::kVector;
  const bool b_varies = from.b_step == OperandStep::kVector;
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) one(a_varies ? from.a + i : rest_a, b_varies ? from.b + i : rest_b, y + i);
  if (i == count) return;
  for (size_t k = i; k < count; ++k) {
    if (a_varies) rest_a[k - i] = from.a[k];
    if (b_varies) rest_b[k - i] = from.b[k];
  }
  one(rest_a, rest_b, rest_y);
  for (size_t k = i; k < count; ++k) y[k] = rest_y[k - i];
}

void by_definition(const BinaryStep& step, const Operands& from, uint8_t* y, size_t count) {
  switch (step.op) {
    case BinaryOp::kAdd:
      return binary_loop(ByDefinition<BinaryOp::kAdd>(step), from, y, count);
    case BinaryOp::kSub:
      return binary_loop(ByDefinition<BinaryOp::kSub>(step), from, y, count);
    case BinaryOp::kMul:
      return binary_loop(ByDefinition<BinaryOp::kMul>(step), from, y, count);
    case BinaryOp::kDiv:
      return binary_loop(ByDefinition<BinaryOp::kDiv>(step), from, y, count);
    case BinaryOp::kMax:
      return binary_loop(ByDefinition<BinaryOp::kMax>(step), from, y, count);
    case BinaryOp::kMin:
      return binary_loop(ByDefinition<BinaryOp::kMin>(step), from, y, count);
  }
}

void binary_impl(const BinaryStep& step, const uint8_t* a, OperandStep a_step, const uint8_t* b, OperandStep b_step,
                 uint8_t* y, size_t count) {
  const Operands from{a, a_step, b, b_step};
  switch (form_of(step)) {
    case BinaryForm::kDefinition:
      return by_definition(step, from, y, count);
    case BinaryForm::kSum:
      if (SumOfPlainSteps<int8_t>::fits(step)) return binary_loop(SumOfPlainSteps<int8_t>(step), from, y, count);
      if (SumOfPlainSteps<uint8_t>::fits(step)) return binary_loop(SumOfPlainSteps<uint8_t>(step), from, y, count);
      return binary_loop(SumOfSteps(step), from, y, count);
    case BinaryForm::kProduct:
      return binary_loop(ProductOfSteps(step), from, y, count);
  }
}

}  // namespace narrow::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::runtime {

HWY_EXPORT(quantize_impl);
HWY_EXPORT(dequantize_impl);
HWY_EXPORT(binary_impl);
HWY_EXPORT(dequantize_columns_impl);

void quantize_elements(const Affine8& params, const float* x, Byte* q, size_t count) {
  HWY_DYNAMIC_DISPATCH(quantize_impl)(params, x, q, count);
}

void dequantize_elements(const Affine8& params, const Byte* q, float* x, size_t count) {
  HWY_DYNAMIC_DISPATCH(dequantize_impl)(params, q, x, count);
}

void binary_elements(const BinaryStep& step, const Byte* a, OperandStep a_step, const Byte* b, OperandStep b_step,
                     Byte* y, size_t count) {
  if (count > 0) HWY_DYNAMIC_DISPATCH(binary_impl)(step, a, a_step, b, b_step, y, count);
}

void dequantize_columns(const ColumnParams& params, const Byte* q, float* x, size_t count) {
  HWY_DYNAMIC_DISPATCH(dequantize_columns_impl)(params, q, x, count);
}

}  // namespace narrow::runtime
#endif  // HWY_ONCE
