// DynamicQuantizeLSTM: an LSTM whose weights are codes, and whose inputs and states are quantized as they come.
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

/// [directions, columns, gates] of codes, scales and zero points [directions] or [directions, gates] -> what LSTM
/// wants, float32 [directions, gates, columns].
Tensor float_weights(const KernelRequest& request, const Tensor& codes, const Tensor& scales, const Tensor& zeros) {
  const Shape& s = codes.shape();
  const bool bytes = codes.type() == DataType::kInt8 || codes.type() == DataType::kUint8;
  if (!bytes || s.size() != 3) refuse(request, "weights that are no constant codes of 8 bits");
  const int64_t gates = s[2];
  const bool by_gate = scales.size() == s[0] * gates;
  if (scales.type() != DataType::kFloat32 || (!by_gate && scales.size() != s[0]) ||
      (zeros.defined() && (zeros.size() != scales.size() || zeros.type() != codes.type()))) {
    refuse(request, "scales or zero points do not fit the weights");
  }
  Tensor weights(DataType::kFloat32, {s[0], gates, s[1]});
  float* to = weights.mutable_data<float>().data();
  dispatch_type(TypeList<int8_t, uint8_t>(), codes.type(), [&]<class T>() {
    const T* from = codes.data<T>().data();
    for (int64_t d = 0; d < s[0]; ++d) {
      for (int64_t g = 0; g < gates; ++g) {
        const auto group = static_cast<size_t>(by_gate ? d * gates + g : d);
        const float scale = scales.data<float>()[group];
        const int zero = zeros.defined() ? zeros.data<T>()[group] : 0;
        for (int64_t i = 0; i < s[1]; ++i) *to++ = static_cast<float>(from[(d * s[1] + i) * gates + g] - zero) * scale;
      }
    }
  });
  return weights;
}

}  // namespace

// X, W, R, B, sequence_lens, initial_h, initial_c, P, W_scale, W_zero_point, R_scale, R_zero_point.
KernelPtr make_dynamic_quantize_lstm(const KernelRequest& request) {
  const auto constant = [&](size_t index) { return Operand(request, index).constant(); };
  const Tensor w = float_weights(request, constant(1), constant(8), constant(9));
  const Tensor r = float_weights(request, constant(2), constant(10), constant(11));
  KernelRequest as_lstm = request;
  as_lstm.constant = [&](int input) { return input == 1 ? &w : input == 2 ? &r : request.constant(input); };
  return make_rounding_lstm(as_lstm);
}

}  // namespace narrow::exec
