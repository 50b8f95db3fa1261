#include "lib/recover/sample_values.h"

#include <algorithm>

#include "lib/recover/vector_math.h"
#include "lib/tensor/own_copy.h"

namespace narrow::recover {
namespace {

/// As quant::quantize for one scale and zero point.
template <class Q>
Tensor quantize_fast(const Tensor& real, const quant::QuantParams& params) {
  const quant::QuantTypeRow& row = quant::row(params.type);
  const auto zero = static_cast<float>(params.zero_points[0]);
  Tensor result(row.storage, real.shape(), real.layout());
  const CodeGrid grid{.scale = params.scales[0],
                      .zero = zero,
                      .low = static_cast<float>(row.qmin) - zero,
                      .high = static_cast<float>(row.qmax) - zero};
  round_to_codes(real.data<float>(), grid, result.mutable_data<Q>());
  return result;
}

Tensor quantize_value(const Tensor& real, const quant::QuantParams& params) {
  if (params.axis) return quant::quantize(to_layout(real, Layout::kPlain), params);
  if (params.type == quant::QuantType::kUint8) return quantize_fast<uint8_t>(real, params);
  if (params.type == quant::QuantType::kInt8) return quantize_fast<int8_t>(real, params);
  return quant::quantize(real, params);
}

bool rounds(const quant::QuantParams* params, const Tensor& tensor) {
  return params != nullptr && tensor.type() == DataType::kFloat32;
}

}  // namespace

SampleValues::SampleValues(const graph::GraphIndex& index, const plan::PrecisionPlan& plan) : index_(index) {
  for (const plan::ValuePlan& value : plan.values) params_[value.value] = &value.params;
}

const quant::QuantParams* SampleValues::params(const std::string& value) const {
  const auto found = params_.find(value);
  return found == params_.end() ? nullptr : found->second;
}

void SampleValues::start(int64_t samples) {
  float_.assign(static_cast<size_t>(samples), {});
  quantized_.assign(static_cast<size_t>(samples), {});
}

void SampleValues::add_feed(int64_t sample, const exec::Feed& feed) {
  for (const auto& [name, tensor] : feed) {
    float_[static_cast<size_t>(sample)][name] = tensor;
    if (rounds(params(name), tensor)) {
      quantized_[static_cast<size_t>(sample)][name] = quantize_value(tensor, *params(name));
    }
  }
}

void SampleValues::keep_float(int64_t sample, const std::vector<std::string>& names, std::vector<Tensor> tensors) {
  for (size_t i = 0; i < names.size(); ++i) float_[static_cast<size_t>(sample)][names[i]] = own_copy(tensors[i]);
}

void SampleValues::keep_quantized(int64_t sample, const std::vector<std::string>& names, std::vector<Tensor> tensors) {
  for (size_t i = 0; i < names.size(); ++i) {
    Tensor& kept = quantized_[static_cast<size_t>(sample)][names[i]];
    const quant::QuantParams* known = params(names[i]);
    kept = rounds(known, tensors[i]) ? quantize_value(tensors[i], *known) : own_copy(tensors[i]);
  }
}

void SampleValues::drop(const std::string& value) {
  for (Values& values : float_) values.erase(value);
  for (Values& values : quantized_) values.erase(value);
}

void SampleValues::drop_float(const std::string& value) {
  if (index_.is_input(value)) return;
  for (Values& values : float_) values.erase(value);
}

exec::Feed SampleValues::float_feed(int64_t sample, const std::vector<std::string>& names) const {
  exec::Feed feed;
  for (const std::string& name : names) feed[name] = float_[static_cast<size_t>(sample)].at(name);
  return feed;
}

exec::Feed SampleValues::quantized_feed(int64_t sample, const std::vector<std::string>& names,
                                        const std::set<std::string>& integers, Workspace& workspace) const {
  exec::Feed feed;
  for (const std::string& name : names) {
    const bool real = index_.is_input(name) && !integers.contains(name);
    feed[name] = real ? float_[static_cast<size_t>(sample)].at(name) : quantized(sample, name, workspace);
  }
  return feed;
}

namespace {

/// As quant::dequantize for one scale and zero point.
template <class Q>
Tensor dequantize_fast(const Tensor& codes, const quant::QuantParams& params, Workspace& workspace) {
  const float scale = params.scales[0];
  const int32_t zero = params.zero_points[0];
  Tensor result = workspace.allocate(DataType::kFloat32, codes.shape(), codes.layout());
  const Q* const from = codes.data<Q>().data();
  float* const to = result.mutable_data<float>().data();
  const auto count = static_cast<size_t>(codes.size());
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<float>(static_cast<int32_t>(from[i]) - zero) * scale;
  return result;
}

Tensor dequantize_value(const Tensor& codes, const quant::QuantParams& params, Workspace& workspace) {
  if (!params.axis && params.type == quant::QuantType::kUint8)
    return dequantize_fast<uint8_t>(codes, params, workspace);
  if (!params.axis && params.type == quant::QuantType::kInt8) return dequantize_fast<int8_t>(codes, params, workspace);
  return quant::dequantize(codes, params);
}

}  // namespace

Tensor SampleValues::quantized(int64_t sample, const std::string& value, Workspace& workspace) const {
  const Values& values = quantized_[static_cast<size_t>(sample)];
  const auto found = values.find(value);
  if (found == values.end()) return float_[static_cast<size_t>(sample)].at(value);  // an input that stays float
  const quant::QuantParams* known = params(value);
  if (known == nullptr || found->second.type() != quant::row(known->type).storage) return found->second;
  return dequantize_value(found->second, *known, workspace);
}

int64_t SampleValues::expected_bytes(int64_t sample) const {
  int64_t total = 0;
  for (const auto& [name, tensor] : float_[static_cast<size_t>(sample)]) {
    if (tensor.type() == DataType::kSequence) continue;
    const auto bytes = static_cast<int64_t>(tensor.byte_size());
    const bool narrower = rounds(params(name), tensor);  // to at most 2 bytes
    total += bytes + (narrower ? bytes / 2 : bytes);
  }
  return total;
}

ConstantOverrides SampleValues::quantized_constants(const graph::Model& model, const plan::LayerPlan& layer) const {
  ConstantOverrides constants;
  for (const std::string& value : layer.activations) {
    const onnx::TensorProto* initializer = index_.initializer(value);
    if (initializer == nullptr || params(value) == nullptr) continue;
    constants[value] = quant::dequantize(quant::quantize(model.tensor(*initializer), *params(value)), *params(value));
  }
  return constants;
}

}  // namespace narrow::recover
