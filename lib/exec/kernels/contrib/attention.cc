// Attention and MultiHeadAttention of com.microsoft, without a past: softmax(Q K' * scale + masks) V by heads.
#include <cmath>

#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/gemm.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {
namespace {

struct AttentionSpec {
  int64_t heads = 1;
  float scale = 0;  // 0: one over the root of a head's size
  float masked = -10000;
  bool causal = false;
};

// The columns [first, first + width) of [B, S, hidden] as [B, heads, S, width / heads], a bias of that width added.
Tensor split_heads(const Tensor& x, int64_t first, int64_t width, int64_t heads, const float* bias,
                   Workspace& workspace) {
  if (width < 1 || width % heads != 0) throw Error(ErrorKind::kModel, "{} columns for {} heads", width, heads);
  const int64_t batch = x.shape()[0];
  const int64_t length = x.shape()[1];
  const int64_t hidden = x.shape()[2];
  const int64_t size = width / heads;
  Tensor result = workspace.allocate(DataType::kFloat32, {batch, heads, length, size});
  const float* from = x.data<float>().data();
  float* to = result.mutable_data<float>().data();
  parallel_for(batch * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t column = row % heads * size;
      for (int64_t s = 0; s < length; ++s) {
        const float* source = from + (row / heads * length + s) * hidden + first + column;
        float* target = to + (row * length + s) * size;
        for (int64_t i = 0; i < size; ++i) target[i] = bias == nullptr ? source[i] : source[i] + bias[column + i];
      }
    }
  });
  return result;
}

// [B, heads, S, size] -> [B, S, heads * size].
Tensor join_heads(const Tensor& x, Workspace& workspace) {
  const Shape& s = x.shape();
  return permuted(x, {0, 2, 1, 3}, workspace).reshaped({s[0], s[2], s[1] * s[3]});
}

// 1 where a key of an image is kept. `mask`: [B, T] of 0 and 1, or [B], the number of keys kept.
std::vector<bool> kept_keys(const Tensor& mask, int64_t batch, int64_t keys) {
  std::vector<bool> kept(static_cast<size_t>(batch * keys), true);
  if (!mask.defined()) return kept;
  const std::vector<int64_t> values = int_list(mask);
  const bool by_length = mask.shape() == Shape{batch};
  if (!by_length && mask.shape() != Shape{batch, keys}) {
    throw Error(ErrorKind::kUnsupported, "a mask {} for {} keys", shape_text(mask.shape()), keys);
  }
  for (int64_t i = 0; i < batch * keys; ++i) {
    const auto at = static_cast<size_t>(i);
    kept[at] = by_length ? i % keys < values[static_cast<size_t>(i / keys)] : values[at] != 0;
  }
  return kept;
}

// What is added to scores [B, N, S, T]: broadcast over its first two axes; or nothing.
class ScoreBias {
 public:
  ScoreBias(const Tensor& bias, const Shape& scores) : bias_(bias), scores_(scores) {
    if (!bias.defined()) return;
    const Shape& own = bias.shape();
    const bool fits = own.size() == 4 && (own[0] == 1 || own[0] == scores[0]) && (own[1] == 1 || own[1] == scores[1]) &&
                      own[2] == scores[2] && own[3] == scores[3];
    if (!fits) throw Error(ErrorKind::kModel, "bias {} for scores {}", shape_text(own), shape_text(scores));
  }
  /// The row of keys for row `index` of the scores, or nullptr.
  const float* row(int64_t index) const {
    if (!bias_.defined()) return nullptr;
    const int64_t head = index / scores_[2];
    const int64_t image = bias_.shape()[0] == 1 ? 0 : head / scores_[1];
    const int64_t plane = image * bias_.shape()[1] + (bias_.shape()[1] == 1 ? 0 : head % scores_[1]);
    return bias_.data<float>().data() + (plane * scores_[2] + index % scores_[2]) * scores_[3];
  }

 private:
  const Tensor& bias_;
  const Shape& scores_;
};

void softmax_scores(const AttentionSpec& spec, float scale, const std::vector<bool>& kept, const Tensor& bias,
                    Tensor& scores) {
  const Shape shape = scores.shape();
  const int64_t keys = shape[3];
  const ScoreBias added(bias, shape);
  float* all = scores.mutable_data<float>().data();
  parallel_for(shape[0] * shape[1] * shape[2], std::max<int64_t>(1, 4096 / std::max<int64_t>(1, keys)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   float* x = all + row * keys;
                   const float* addend = added.row(row);
                   const int64_t image = row / (shape[1] * shape[2]);
                   const int64_t visible = spec.causal ? row % shape[2] + 1 + keys - shape[2] : keys;
                   float top = -std::numeric_limits<float>::infinity();
                   for (int64_t t = 0; t < keys; ++t) {
                     x[t] = x[t] * scale + (addend == nullptr ? 0.0F : addend[t]);
                     if (!kept[static_cast<size_t>(image * keys + t)]) x[t] += spec.masked;
                     if (t >= visible) x[t] = std::numeric_limits<float>::lowest();
                     top = std::max(top, x[t]);
                   }
                   float sum = 0;
                   for (int64_t t = 0; t < keys; ++t) sum += x[t] = std::exp(x[t] - top);
                   for (int64_t t = 0; t < keys; ++t) x[t] /= sum;
                 }
               });
}

// `parts`: Q [B, N, S, D], K [B, N, T, D], V [B, N, T, E] -> [B, S, N * E].
Tensor attend(const AttentionSpec& spec, std::span<const Tensor> parts, const Tensor& mask, const Tensor& bias,
              const onednn::Matmul& fast, Workspace& workspace) {
  const Tensor& q = parts[0];
  const Tensor& k = parts[1];
  const Tensor& v = parts[2];
  const int64_t size = q.shape()[3];
  const float scale = spec.scale != 0 ? spec.scale : 1 / std::sqrt(static_cast<float>(size));
  Tensor scores = matrix_product(q, permuted(k, {0, 1, 3, 2}, workspace), fast, workspace);
  softmax_scores(spec, scale, kept_keys(mask, q.shape()[0], k.shape()[2]), bias, scores);
  return join_heads(matrix_product(scores, v, fast, workspace), workspace);
}

AttentionSpec attention_spec(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const AttentionSpec spec{.heads = graph::int_attribute(node, "num_heads", 0),
                           .scale = graph::float_attribute(node, "scale", 0.0F),
                           .masked = graph::float_attribute(node, "mask_filter_value", -10000.0F),
                           .causal = graph::int_attribute(node, "unidirectional", 0) != 0};
  if (spec.heads < 1) refuse(request, "num_heads is missing");
  if (graph::int_attribute(node, "do_rotary", 0) != 0) refuse(request, "do_rotary");
  for (int i = 1; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) refuse(request, "outputs behind the first");
  }
  return spec;
}

void refuse_inputs(const KernelRequest& request, std::initializer_list<size_t> indices) {
  for (const size_t index : indices) {
    if (Operand(request, index).present()) refuse(request, fmt::format("input {} (a past)", index));
  }
}

void check_rank3(const Tensor& x) {
  if (x.rank() == 3 && x.type() == DataType::kFloat32) return;
  throw Error(ErrorKind::kUnsupported, "{} {}, expected float32 [batch, length, hidden]", data_type_name(x.type()),
              shape_text(x.shape()));
}

}  // namespace

// input [B, S, I], weights [I, Q + K + V], bias, mask_index, past, attention_bias.
KernelPtr make_contrib_attention(const KernelRequest& request) {
  const AttentionSpec spec = attention_spec(request);
  refuse_inputs(request, {4, 6});
  const std::vector<int64_t> sizes = graph::ints_attribute(*request.node, "qkv_hidden_sizes");
  if (!sizes.empty() && sizes.size() != 3) refuse(request, "qkv_hidden_sizes");
  KernelRequest product = request;
  onnx::NodeProto node;
  node.set_op_type("MatMul");
  node.add_input("x");
  node.add_input("w");
  node.add_output("y");
  product.node = &node;
  const std::shared_ptr<const Kernel> project = make_matmul(product);
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([=, weights = Operand(request, 1), bias = Operand(request, 2), mask = Operand(request, 3),
                    added = Operand(request, 5)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                 Workspace& workspace) {
    check_rank3(required(inputs, 0));
    std::array<Tensor, 2> operands{inputs[0], weights.required_in(inputs)};
    Tensor all;
    project->run(operands, std::span(&all, 1), workspace);
    const int64_t third = all.shape()[2] / 3;
    const std::vector<int64_t> widths = sizes.empty() ? std::vector<int64_t>(3, third) : sizes;
    const Tensor& shift = bias.in(inputs);
    if (widths[0] + widths[1] + widths[2] != all.shape()[2] || (shift.defined() && shift.size() != all.shape()[2])) {
      throw Error(ErrorKind::kModel, "weights or bias do not fit qkv_hidden_sizes");
    }
    std::vector<Tensor> parts;
    int64_t first = 0;
    for (const int64_t width : widths) {
      const float* add = shift.defined() ? shift.data<float>().data() + first : nullptr;
      parts.push_back(split_heads(all, first, width, spec.heads, add, workspace));
      first += width;
    }
    outputs[0] = attend(spec, parts, mask.in(inputs), added.in(inputs), *fast, workspace);
  });
}

// query, key, value [B, S or T, hidden], bias [all three], key_padding_mask, attention_bias.
KernelPtr make_multi_head_attention(const KernelRequest& request) {
  const AttentionSpec spec = attention_spec(request);
  refuse_inputs(request, {6, 7, 8, 9});
  if (!Operand(request, 1).present() || !Operand(request, 2).present()) refuse(request, "packed keys and values");
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([=, bias = Operand(request, 3), mask = Operand(request, 4), added = Operand(request, 5),
                    operands = std::array{Operand(request, 0), Operand(request, 1), Operand(request, 2)}](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& shift = bias.in(inputs);
    std::vector<Tensor> parts;
    int64_t first = 0;
    for (const Operand& operand : operands) {
      const Tensor& x = operand.required_in(inputs);
      check_rank3(x);
      const int64_t width = x.shape()[2];
      if (shift.defined() && first + width > shift.size()) {
        throw Error(ErrorKind::kModel, "{} biases, too few", shift.size());
      }
      const float* add = shift.defined() ? shift.data<float>().data() + first : nullptr;
      parts.push_back(split_heads(x, 0, width, spec.heads, add, workspace));
      first += width;
    }
    outputs[0] = attend(spec, parts, mask.in(inputs), added.in(inputs), *fast, workspace);
  });
}

}  // namespace narrow::exec
