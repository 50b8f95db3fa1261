// Attention, QAttention and MultiHeadAttention of com.microsoft.
#include <cstring>

#include "lib/exec/kernels/contrib/attention_scores.h"
#include "lib/exec/kernels/contrib/composition.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/families.h"

namespace narrow::exec {
namespace {

struct AttentionSpec {
  int64_t heads = 1;
  float scale = 0;
  float masked = -10000;
  bool causal = false;

  ScoreRules rules(const Tensor& mask, const Tensor& bias, int64_t batch, int64_t queries, int64_t keys) const {
    return {.scale = scale,
            .causal = causal,
            .masked = masked,
            .kept = kept_keys(mask, batch, queries, keys),
            .bias = bias};
  }
};

/// `outputs`: how many of the operator's there are kernels for.
AttentionSpec attention_spec(const KernelRequest& request, int outputs) {
  const onnx::NodeProto& node = *request.node;
  const AttentionSpec spec{.heads = graph::int_attribute(node, "num_heads", 0),
                           .scale = graph::float_attribute(node, "scale", 0.0F),
                           .masked = graph::float_attribute(node, "mask_filter_value", -10000.0F),
                           .causal = graph::int_attribute(node, "unidirectional", 0) != 0};
  if (spec.heads < 1) refuse(request, "num_heads is missing");
  for (const char* name : {"do_rotary", "past_present_share_buffer"}) {
    if (graph::int_attribute(node, name, 0) != 0) refuse(request, name);
  }
  for (int i = outputs; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) refuse(request, fmt::format("output {}", i));
  }
  return spec;
}

void refuse_inputs(const KernelRequest& request, std::initializer_list<size_t> indices, const std::string& what) {
  for (const size_t index : indices) {
    if (Operand(request, index).present()) refuse(request, fmt::format("input {} ({})", index, what));
  }
}

void check_rank3(const Tensor& x) {
  if (x.rank() == 3 && x.type() == DataType::kFloat32) return;
  throw Error(ErrorKind::kUnsupported, "{} {}, expected float32 [batch, length, hidden]", data_type_name(x.type()),
              shape_text(x.shape()));
}

/// Half `which` of [2, B, N, P, D], undefined if there is no past.
Tensor half_of_past(const Tensor& past, int64_t which, Workspace& workspace) {
  if (!past.defined()) return {};
  const Shape& s = past.shape();
  if (s.size() != 5 || s[0] != 2) throw Error(ErrorKind::kModel, "past {}", shape_text(s));
  Tensor half = workspace.allocate(past.type(), {s[1], s[2], s[3], s[4]});
  if (half.byte_size() > 0) {
    std::memcpy(half.mutable_bytes(), past.bytes() + static_cast<size_t>(which) * half.byte_size(), half.byte_size());
  }
  return half;
}

/// [2, B, N, T, D] of keys and values.
Tensor joined(const Tensor& keys, const Tensor& values, Workspace& workspace) {
  if (keys.shape() != values.shape()) throw Error(ErrorKind::kUnsupported, "keys and values of different sizes");
  Shape shape = keys.shape();
  shape.insert(shape.begin(), 2);
  Tensor both = workspace.allocate(keys.type(), shape);
  std::memcpy(both.mutable_bytes(), keys.bytes(), keys.byte_size());
  std::memcpy(both.mutable_bytes() + keys.byte_size(), values.bytes(), values.byte_size());
  return both;
}

/// Attention behind the projection of its input: `all` is [B, S, Q + K + V].
class ProjectedAttention {
 public:
  explicit ProjectedAttention(const KernelRequest& request)
      : spec_(attention_spec(request, 2)), sizes_(graph::ints_attribute(*request.node, "qkv_hidden_sizes")) {
    if (!sizes_.empty() && sizes_.size() != 3) refuse(request, "qkv_hidden_sizes");
  }

  struct Operands {
    const Tensor& bias;
    const Tensor& mask;
    const Tensor& past;
    const Tensor& added;
  };

  void run(const Tensor& all, const Operands& operands, std::span<Tensor> outputs, Workspace& workspace) const {
    const int64_t third = all.shape()[2] / 3;
    const std::vector<int64_t> widths = sizes_.empty() ? std::vector<int64_t>(3, third) : sizes_;
    const Tensor& shift = operands.bias;
    if (widths[0] + widths[1] + widths[2] != all.shape()[2] || (shift.defined() && shift.size() != all.shape()[2])) {
      throw Error(ErrorKind::kModel, "weights or bias do not fit qkv_hidden_sizes");
    }
    std::vector<Tensor> parts;
    int64_t first = 0;
    for (const int64_t width : widths) {
      const float* add = shift.defined() ? shift.data<float>().data() + first : nullptr;
      parts.push_back(split_heads(all, first, width, spec_.heads, add, workspace));
      first += width;
    }
    const Tensor keys = behind_past(half_of_past(operands.past, 0, workspace), parts[1], workspace);
    const Tensor values = behind_past(half_of_past(operands.past, 1, workspace), parts[2], workspace);
    const ScoreRules rules =
        spec_.rules(operands.mask, operands.added, all.shape()[0], all.shape()[1], keys.shape()[2]);
    outputs[0] = attend(rules, parts[0], keys, values, fast_, workspace);
    if (outputs.size() > 1) outputs[1] = joined(keys, values, workspace);
  }

 private:
  AttentionSpec spec_;
  std::vector<int64_t> sizes_;
  onednn::Matmul fast_{onednn::MatmulSpec()};
};

/// The kernel that multiplies two values, the second constant where it is so in the request.
std::shared_ptr<const Kernel> projection(const KernelRequest& request) {
  KernelRequest product = request;
  onnx::NodeProto node;
  node.set_op_type("MatMul");
  node.add_input("x");
  node.add_input("w");
  node.add_output("y");
  product.node = &node;
  return make_matmul(product);
}

}  // namespace

// input [B, S, I], weights [I, Q + K + V], bias, mask_index, past, attention_bias.
KernelPtr make_contrib_attention(const KernelRequest& request) {
  const auto attention = std::make_shared<const ProjectedAttention>(request);
  refuse_inputs(request, {6}, "past_sequence_length");
  return kernel_of([=, project = projection(request), weights = Operand(request, 1), bias = Operand(request, 2),
                    mask = Operand(request, 3), past = Operand(request, 4), added = Operand(request, 5)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    check_rank3(required(inputs, 0));
    std::array<Tensor, 2> operands{inputs[0], weights.required_in(inputs)};
    Tensor all;
    project->run(operands, std::span(&all, 1), workspace);
    attention->run(all, {bias.in(inputs), mask.in(inputs), past.in(inputs), added.in(inputs)}, outputs, workspace);
  });
}

// input (codes), weights (codes), bias, input_scale, weight_scale, mask_index, input_zero_point, weight_zero_point,
// past.
KernelPtr make_qattention(const KernelRequest& request) {
  const auto attention = std::make_shared<const ProjectedAttention>(request);
  Composition body(request);
  const ValueId sums = body.add("MatMulInteger", {body.input(0), body.input(1), body.input(6), body.input(7)});
  const ValueId scales = body.add("Mul", {body.input(3), body.input(4)});
  const ValueId reals = body.add("Cast", {sums}, {attribute_of("to", int64_t{1})});
  const std::shared_ptr<const Kernel> project = body.kernel({body.add("Mul", {reals, scales})});
  return kernel_of([=, bias = Operand(request, 2), mask = Operand(request, 5), past = Operand(request, 8)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    std::vector<Tensor> operands(inputs.begin(), inputs.end());
    Tensor all;
    project->run(operands, std::span(&all, 1), workspace);
    check_rank3(all);
    attention->run(all, {bias.in(inputs), mask.in(inputs), past.in(inputs), Tensor()}, outputs, workspace);
  });
}

namespace {

/// Queries, keys and values of MultiHeadAttention as heads, the past in front of keys and values.
struct MultiHeadParts {
  Tensor queries;
  Tensor keys;
  Tensor values;
};

class MultiHeadInputs {
 public:
  MultiHeadInputs(const KernelRequest& request, int64_t heads) : heads_(heads), bias_(request, 3) {
    for (const size_t index : {0, 1, 2, 6, 7}) operands_.emplace_back(request, index);
    if (!operands_[1].present() || !operands_[2].present()) refuse(request, "packed keys and values");
    if (operands_[3].present() != operands_[4].present()) refuse(request, "a past of keys or values alone");
  }

  MultiHeadParts parts(std::span<Tensor> inputs, Workspace& workspace) const {
    const Tensor& shift = bias_.in(inputs);
    std::array<Tensor, 3> heads;
    int64_t first = 0;
    for (size_t i = 0; i < heads.size(); ++i) {
      const Tensor& x = operands_[i].required_in(inputs);
      // Keys and values of another sequence come as heads, and were shifted when they were made.
      if (x.rank() == 4 && i > 0) {
        if (x.type() != DataType::kFloat32 || x.shape()[1] < 1) {
          throw Error(ErrorKind::kModel, "keys or values {} {}", data_type_name(x.type()), shape_text(x.shape()));
        }
        heads[i] = x;
        continue;
      }
      check_rank3(x);
      const int64_t width = x.shape()[2];
      if (shift.defined() && first + width > shift.size()) {
        throw Error(ErrorKind::kModel, "{} biases, too few", shift.size());
      }
      const float* add = shift.defined() ? shift.data<float>().data() + first : nullptr;
      heads[i] = split_heads(x, 0, width, heads_, add, workspace);
      first += width;
    }
    return {heads[0], behind_past(operands_[3].in(inputs), heads[1], workspace),
            behind_past(operands_[4].in(inputs), heads[2], workspace)};
  }

 private:
  int64_t heads_;
  Operand bias_;
  std::vector<Operand> operands_;  // query, key, value, past_key, past_value
};

}  // namespace

// query, key, value [B, S or T, hidden], bias [all three], key_padding_mask, attention_bias, past_key, past_value.
KernelPtr make_multi_head_attention(const KernelRequest& request) {
  const AttentionSpec spec = attention_spec(request, 3);
  refuse_inputs(request, {8, 9}, "a shared buffer");
  const MultiHeadInputs operands(request, spec.heads);
  const std::shared_ptr<const onednn::Matmul> fast = std::make_shared<onednn::Matmul>(onednn::MatmulSpec());
  return kernel_of([=, mask = Operand(request, 4), added = Operand(request, 5)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const MultiHeadParts parts = operands.parts(inputs, workspace);
    const Shape& q = parts.queries.shape();
    const ScoreRules rules = spec.rules(mask.in(inputs), added.in(inputs), q[0], q[2], parts.keys.shape()[2]);
    outputs[0] = attend(rules, parts.queries, parts.keys, parts.values, *fast, workspace);
    if (outputs.size() > 1) outputs[1] = parts.keys;
    if (outputs.size() > 2) outputs[2] = parts.values;
  });
}

}  // namespace narrow::exec
