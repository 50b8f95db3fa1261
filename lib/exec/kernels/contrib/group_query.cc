// GroupQueryAttention of com.microsoft: heads of queries that share keys and values, which are kept from call to call.
#include <algorithm>
#include <cstring>

#include "lib/exec/kernels/contrib/attention_scores.h"
#include "lib/exec/kernels/contrib/families.h"
#include "lib/exec/kernels/contrib/rotary.h"

namespace narrow::exec {
namespace {

struct GroupSpec {
  int64_t heads = 0;
  int64_t shared = 0;  // heads of keys and values
  bool rotates = false;
  bool interleaved = false;
  ScoreRules rules = {};
};

GroupSpec group_spec(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  const auto number = [&](const char* name, int64_t otherwise) { return graph::int_attribute(node, name, otherwise); };
  GroupSpec spec{.heads = number("num_heads", 0),
                 .shared = number("kv_num_heads", 0),
                 .rotates = number("do_rotary", 0) != 0,
                 .interleaved = number("rotary_interleaved", 0) != 0};
  if (spec.heads < 1 || spec.shared < 1 || spec.heads % spec.shared != 0) refuse(request, "num_heads or kv_num_heads");
  for (const char* name : {"sliding_window_cache", "qk_output"}) {
    if (number(name, 0) != 0) refuse(request, name);
  }
  for (const char* name : {"k_quant_type", "v_quant_type"}) {
    if (graph::string_attribute(node, name, "NONE") != "NONE") refuse(request, name);
  }
  for (size_t index = 12; index < 16; ++index) {
    if (Operand(request, index).present()) refuse(request, fmt::format("input {}", index));
  }
  spec.rules.scale = graph::float_attribute(node, "scale", 0.0F);
  spec.rules.softcap = graph::float_attribute(node, "softcap", 0.0F);
  spec.rules.causal = number("causal", 1) != 0;
  spec.rules.window = std::max<int64_t>(0, number("local_window_size", -1));
  if (number("smooth_softmax", 0) > 0) spec.rules.sinks.assign(static_cast<size_t>(spec.heads), 0.0F);
  return spec;
}

/// How many keys of each image there are, and how many of them were there before.
struct Lengths {
  std::vector<int64_t> past;
  std::vector<int64_t> keys;
  bool first = false;  // nothing was there before

  Lengths(const Tensor& last_keys, const Tensor& total, int64_t batch, int64_t queries) {
    if (last_keys.size() != batch) throw Error(ErrorKind::kModel, "seqlens_k {}", shape_text(last_keys.shape()));
    if (total.size() != 1) throw Error(ErrorKind::kModel, "total_sequence_length {}", shape_text(total.shape()));
    first = int_list(total).at(0) == queries;
    for (const int64_t last : int_list(last_keys)) {
      keys.push_back(last + 1);
      past.push_back(first ? 0 : last + 1 - queries);
      if (past.back() < 0 || last < 0) throw Error(ErrorKind::kModel, "{} keys for {} queries", last + 1, queries);
    }
  }
};

class GroupQueryKernel final : public Kernel {
 public:
  explicit GroupQueryKernel(const KernelRequest& request) : spec_(group_spec(request)) {
    for (size_t i = 0; i < 12; ++i) operands_.emplace_back(request, i);
  }

  void run(std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) const override {
    const auto in = [&](size_t index) -> const Tensor& { return operands_[index].in(inputs); };
    std::array<Tensor, 3> parts = split(inputs, workspace);
    const Shape q = parts[0].shape();
    const Tensor& total = operands_[6].required_in(inputs);
    const Lengths lengths(operands_[5].required_in(inputs), total, q[0], q[2]);
    if (spec_.rotates) {
      for (const size_t i : {0, 1}) rotate(lengths, in(7), in(8), in(9), parts[i], workspace);
    }
    for (const size_t i : {3, 4}) {
      if (in(i).defined() && in(i).rank() != 4) throw Error(ErrorKind::kModel, "past {}", shape_text(in(i).shape()));
    }
    const int64_t room = std::max(int_list(total).at(0), in(3).defined() ? in(3).shape().at(2) : 0);
    const Tensor keys = kept(in(3), parts[1], lengths, room, workspace);
    const Tensor values = kept(in(4), parts[2], lengths, room, workspace);
    ScoreRules rules = spec_.rules;
    rules.past = lengths.past;
    rules.keys = lengths.keys;
    const int64_t used = lengths.keys.empty() ? 0 : *std::max_element(lengths.keys.begin(), lengths.keys.end());
    rules.bias = with_room(in(10), used, room, workspace);
    if (in(11).defined()) rules.sinks.assign(in(11).data<float>().begin(), in(11).data<float>().end());
    if (!rules.sinks.empty() && static_cast<int64_t>(rules.sinks.size()) != spec_.heads) {
      throw Error(ErrorKind::kModel, "{} sinks for {} heads", rules.sinks.size(), spec_.heads);
    }
    outputs[0] = attend(rules, parts[0], keys, values, fast_, workspace);
    if (outputs.size() > 1) outputs[1] = keys;
    if (outputs.size() > 2) outputs[2] = values;
  }

 private:
  /// Queries, keys and values as heads, whether each is an input or all are one.
  std::array<Tensor, 3> split(std::span<Tensor> inputs, Workspace& workspace) const {
    const Tensor& q = operands_[0].required_in(inputs);
    if (q.rank() != 3 || q.type() != DataType::kFloat32) {
      throw Error(ErrorKind::kUnsupported, "{} {}, expected float32 [batch, length, hidden]", data_type_name(q.type()),
                  shape_text(q.shape()));
    }
    const bool packed = !operands_[1].in(inputs).defined();
    const int64_t size = q.shape()[2] / (packed ? spec_.heads + 2 * spec_.shared : spec_.heads);
    const int64_t own = size * spec_.heads;
    const int64_t shared = size * spec_.shared;
    const Tensor& k = packed ? q : operands_[1].in(inputs);
    const Tensor& v = packed ? q : operands_[2].required_in(inputs);
    for (const Tensor* x : {&k, &v}) {
      if (x->rank() == 3 && x->type() == q.type() && x->shape()[0] == q.shape()[0] && x->shape()[1] == q.shape()[1]) {
        continue;
      }
      throw Error(ErrorKind::kModel, "keys or values {} beside queries {}", shape_text(x->shape()),
                  shape_text(q.shape()));
    }
    const bool fit = packed ? q.shape()[2] == own + 2 * shared
                            : q.shape()[2] == own && k.shape().back() == shared && v.shape().back() == shared;
    if (!fit) throw Error(ErrorKind::kModel, "hidden sizes do not fit num_heads and kv_num_heads");
    return {split_heads(q, 0, own, spec_.heads, nullptr, workspace),
            split_heads(k, packed ? own : 0, shared, spec_.shared, nullptr, workspace),
            split_heads(v, packed ? own + shared : 0, shared, spec_.shared, nullptr, workspace)};
  }

  void rotate(const Lengths& lengths, const Tensor& cosine, const Tensor& sine, const Tensor& positions, Tensor& heads,
              Workspace& workspace) const {
    const Shape& s = heads.shape();
    if (!cosine.defined() || !sine.defined() || cosine.rank() != 2 || cosine.shape() != sine.shape() ||
        2 * cosine.shape()[1] > s[3]) {
      throw Error(ErrorKind::kModel, "cos_cache or sin_cache do not fit {}", shape_text(s));
    }
    const std::vector<int64_t> given = positions.defined() ? int_list(positions) : std::vector<int64_t>();
    if (!given.empty() && !lengths.first && static_cast<int64_t>(given.size()) != s[0] * s[2]) {
      throw Error(ErrorKind::kModel, "position_ids {} for {}", shape_text(positions.shape()), shape_text(s));
    }
    const int64_t pairs = cosine.shape()[1];
    Tensor turned = workspace.allocate(DataType::kFloat32, s);
    const float* from = heads.data<float>().data();
    float* to = turned.mutable_data<float>().data();
    for (int64_t row = 0; row < s[0] * s[1] * s[2]; ++row) {
      const int64_t image = row / (s[1] * s[2]);
      const int64_t at = position(lengths, given, image, row % s[2], s[2]);
      if (at < 0 || at >= cosine.shape()[0]) throw Error(ErrorKind::kModel, "position {}", at);
      const float* x = from + row * s[3];
      std::copy(x + 2 * pairs, x + s[3], to + row * s[3] + 2 * pairs);
      turn_pairs(x, cosine.data<float>().data() + at * pairs, sine.data<float>().data() + at * pairs, pairs,
                 spec_.interleaved, to + row * s[3]);
    }
    heads = std::move(turned);
  }

  /// Of a first call only the first position that is given counts.
  static int64_t position(const Lengths& lengths, const std::vector<int64_t>& given, int64_t image, int64_t query,
                          int64_t queries) {
    if (lengths.first) return (given.empty() ? 0 : given[0]) + query;
    if (given.empty()) return lengths.past[static_cast<size_t>(image)] + query;
    return given.at(static_cast<size_t>(image * queries + query));
  }

  /// [B, heads, room, D]: the past and what is new, image by image; zeros behind.
  static Tensor kept(const Tensor& past, const Tensor& fresh, const Lengths& lengths, int64_t room,
                     Workspace& workspace) {
    const Shape& s = fresh.shape();
    const int64_t before = past.defined() ? past.shape()[2] : 0;
    if (past.defined() && (past.type() != fresh.type() || past.shape() != Shape{s[0], s[1], before, s[3]})) {
      throw Error(ErrorKind::kModel, "past {} of {}", shape_text(past.shape()), shape_text(s));
    }
    Tensor all = workspace.allocate(DataType::kFloat32, {s[0], s[1], room, s[3]});
    float* to = all.mutable_data<float>().data();
    std::fill_n(to, all.size(), 0.0F);
    for (int64_t head = 0; head < s[0] * s[1]; ++head, to += room * s[3]) {
      const int64_t old = lengths.past[static_cast<size_t>(head / s[1])];
      if (old > before || old + s[2] > room) throw Error(ErrorKind::kModel, "{} keys in a past of {}", old, before);
      if (old > 0) std::copy_n(past.data<float>().data() + head * before * s[3], old * s[3], to);
      std::copy_n(fresh.data<float>().data() + head * s[2] * s[3], s[2] * s[3], to + old * s[3]);
    }
    return all;
  }

  /// A bias for as many keys as there is room for; what is behind the `used` ones is not read.
  static Tensor with_room(const Tensor& bias, int64_t used, int64_t room, Workspace& workspace) {
    if (!bias.defined() || bias.rank() != 4 || bias.shape()[3] == room) return bias;
    const Shape& s = bias.shape();
    if (s[3] < used) throw Error(ErrorKind::kModel, "a bias {} for {} keys", shape_text(s), used);
    Tensor wide = workspace.allocate(DataType::kFloat32, {s[0], s[1], s[2], room});
    float* to = wide.mutable_data<float>().data();
    std::fill_n(to, wide.size(), 0.0F);
    for (int64_t row = 0; row < s[0] * s[1] * s[2]; ++row) {
      std::copy_n(bias.data<float>().data() + row * s[3], std::min(s[3], room), to + row * room);
    }
    return wide;
  }

  GroupSpec spec_;
  onednn::Matmul fast_{onednn::MatmulSpec()};
  // query, key, value, past_key, past_value, seqlens_k, total_sequence_length, cos_cache, sin_cache, position_ids,
  // attention_bias, head_sink
  std::vector<Operand> operands_;
};

}  // namespace

KernelPtr make_group_query_attention(const KernelRequest& request) {
  return std::make_unique<const GroupQueryKernel>(request);
}

}  // namespace narrow::exec
