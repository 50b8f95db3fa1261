#include "lib/runtime/kernels/elementwise.h"

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

// Clamping before rounding equals saturating after it, since the limits are integers; it keeps the conversion in range.
HWY_INLINE void store_quantized(const Biased& p, FloatVec real, uint8_t* q) {
  const FloatTag df;
  const ByteTag d8;
  const FloatVec zero_point = hn::Set(df, p.zero_point);
  FloatVec steps = hn::Div(real, hn::Set(df, p.scale));
  steps = hn::IfThenElseZero(hn::Eq(steps, steps), steps);
  steps = hn::Max(steps, hn::Neg(zero_point));
  steps = hn::Min(steps, hn::Sub(hn::Set(df, 255.0F), zero_point));
  const auto integers = hn::Add(hn::NearestInt(steps), hn::NearestInt(zero_point));
  hn::StoreU(hn::Xor(hn::DemoteTo(d8, integers), hn::Set(d8, p.flip)), d8, q);
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

template <BinaryOp op>
HWY_INLINE FloatVec combine(FloatVec a, FloatVec b) {
  if constexpr (op == BinaryOp::kAdd) return hn::Add(a, b);
  if constexpr (op == BinaryOp::kSub) return hn::Sub(a, b);
  return hn::Mul(a, b);
}

template <BinaryOp op>
void binary_loop(const BinaryStep& step, const uint8_t* a, OperandStep a_step, const uint8_t* b, OperandStep b_step,
                 uint8_t* y, size_t count) {
  const FloatTag df;
  const size_t lanes = hn::Lanes(df);
  const Biased pa(step.a);
  const Biased pb(step.b);
  const Biased py(step.y);
  const FloatVec low = hn::Set(df, step.low);
  const FloatVec high = hn::Set(df, step.high);
  HWY_ALIGN uint8_t rest_a[HWY_MAX_BYTES];
  HWY_ALIGN uint8_t rest_b[HWY_MAX_BYTES];
  HWY_ALIGN uint8_t rest_y[HWY_MAX_BYTES];
  for (size_t k = 0; k < lanes; ++k) {
    rest_a[k] = a[0];
    rest_b[k] = b[0];
  }
  const bool a_varies = a_step == OperandStep::kVector;
  const bool b_varies = b_step == OperandStep::kVector;
  const auto one = [&](const uint8_t* pa8, const uint8_t* pb8, uint8_t* py8) HWY_ATTR {
    const FloatVec real = combine<op>(load_real(pa, pa8), load_real(pb, pb8));
    store_quantized(py, hn::Min(hn::Max(real, low), high), py8);
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) one(a_varies ? a + i : rest_a, b_varies ? b + i : rest_b, y + i);
  if (i == count) return;
  for (size_t k = i; k < count; ++k) {
    if (a_varies) rest_a[k - i] = a[k];
    if (b_varies) rest_b[k - i] = b[k];
  }
  one(rest_a, rest_b, rest_y);
  for (size_t k = i; k < count; ++k) y[k] = rest_y[k - i];
}

void binary_impl(const BinaryStep& step, const uint8_t* a, OperandStep a_step, const uint8_t* b, OperandStep b_step,
                 uint8_t* y, size_t count) {
  switch (step.op) {
    case BinaryOp::kAdd:
      return binary_loop<BinaryOp::kAdd>(step, a, a_step, b, b_step, y, count);
    case BinaryOp::kSub:
      return binary_loop<BinaryOp::kSub>(step, a, a_step, b, b_step, y, count);
    case BinaryOp::kMul:
      return binary_loop<BinaryOp::kMul>(step, a, a_step, b, b_step, y, count);
  }
}

}  // namespace narrow::runtime::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace narrow::runtime {

HWY_EXPORT(quantize_impl);
HWY_EXPORT(dequantize_impl);
HWY_EXPORT(binary_impl);

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

void look_up_elements(const Table& table, const Byte* q, Byte* y, size_t count) {
  for (size_t i = 0; i < count; ++i) y[i] = table[q[i]];
}

}  // namespace narrow::runtime
#endif  // HWY_ONCE
