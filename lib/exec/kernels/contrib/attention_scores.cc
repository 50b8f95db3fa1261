#include "lib/exec/kernels/contrib/attention_scores.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "lib/exec/kernels/gemm.h"
#include "lib/exec/kernels/strided.h"

namespace narrow::exec {
namespace {

/// [B, heads, S, size] -> [B, S, heads * size].
Tensor join_heads(const Tensor& x, Workspace& workspace) {
  const Shape& s = x.shape();
  return permuted(x, {0, 2, 1, 3}, workspace).reshaped({s[0], s[2], s[1] * s[3]});
}

/// Rows of scores [B, N, S, T] become shares that sum to one.
class ScoreRows {
 public:
  ScoreRows(const ScoreRules& rules, const Shape& shape) : rules_(rules), shape_(shape) {
    if (!rules.bias.defined()) return;
    const Shape& own = rules.bias.shape();
    const bool fits = own.size() == 4 && (own[0] == 1 || own[0] == shape[0]) && (own[1] == 1 || own[1] == shape[1]) &&
                      own[2] == shape[2] && own[3] == shape[3];
    if (!fits) throw Error(ErrorKind::kModel, "bias {} for scores {}", shape_text(own), shape_text(shape));
  }

  void run(int64_t row, float scale, float* x) const {
    const int64_t keys = shape_[3];
    const int64_t query = row % shape_[2];
    const int64_t image = row / (shape_[1] * shape_[2]);
    const auto [begin, end] = seen(image, query);
    std::fill(x, x + begin, 0.0F);
    std::fill(x + end, x + keys, 0.0F);
    if (begin == end) return;
    add(row, scale, begin, end, x);
    const int64_t head = row / shape_[2] % shape_[1];
    const float* sink = rules_.sinks.empty() ? nullptr : &rules_.sinks[static_cast<size_t>(head)];
    float top = sink == nullptr ? -std::numeric_limits<float>::infinity() : *sink;
    for (int64_t t = begin; t < end; ++t) top = std::max(top, x[t]);
    float sum = sink == nullptr ? 0 : std::exp(*sink - top);
    for (int64_t t = begin; t < end; ++t) sum += x[t] = std::exp(x[t] - top);
    for (int64_t t = begin; t < end; ++t) x[t] /= sum;
  }

 private:
  std::pair<int64_t, int64_t> seen(int64_t image, int64_t query) const {
    const auto at = static_cast<size_t>(image);
    const int64_t past = rules_.past.empty() ? shape_[3] - shape_[2] : rules_.past[at];
    int64_t end = rules_.keys.empty() ? shape_[3] : rules_.keys[at];
    if (rules_.causal) end = std::min(end, past + query + 1);
    end = std::clamp<int64_t>(end, 0, shape_[3]);
    const int64_t begin = rules_.window > 0 ? std::max<int64_t>(0, past + query + 1 - rules_.window) : 0;
    return {std::min(begin, end), end};
  }

  void add(int64_t row, float scale, int64_t begin, int64_t end, float* x) const {
    for (int64_t t = begin; t < end; ++t) x[t] *= scale;
    if (rules_.softcap > 0) {
      for (int64_t t = begin; t < end; ++t) x[t] = rules_.softcap * std::tanh(x[t] / rules_.softcap);
    }
    if (const float* addend = bias_row(row)) {
      for (int64_t t = begin; t < end; ++t) x[t] += addend[t];
    }
    if (rules_.kept.empty()) return;
    const int64_t image = row / (shape_[1] * shape_[2]);
    const bool by_query = static_cast<int64_t>(rules_.kept.size()) != shape_[0] * shape_[3];
    const auto first = static_cast<size_t>((by_query ? image * shape_[2] + row % shape_[2] : image) * shape_[3]);
    for (int64_t t = begin; t < end; ++t) {
      if (!rules_.kept[first + static_cast<size_t>(t)]) x[t] += rules_.masked;
    }
  }

  const float* bias_row(int64_t row) const {
    if (!rules_.bias.defined()) return nullptr;
    const Shape& own = rules_.bias.shape();
    const int64_t head = row / shape_[2];
    const int64_t image = own[0] == 1 ? 0 : head / shape_[1];
    const int64_t plane = image * own[1] + (own[1] == 1 ? 0 : head % shape_[1]);
    return rules_.bias.data<float>().data() + (plane * shape_[2] + row % shape_[2]) * shape_[3];
  }

  const ScoreRules& rules_;
  const Shape& shape_;
};

}  // namespace

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

Tensor behind_past(const Tensor& past, const Tensor& fresh, Workspace& workspace) {
  if (!past.defined()) return fresh;
  const Shape& p = past.shape();
  const Shape& s = fresh.shape();
  if (p.size() != 4 || past.type() != fresh.type() || p[0] != s[0] || p[1] != s[1] || p[3] != s[3]) {
    throw Error(ErrorKind::kModel, "past {} of {}", shape_text(p), shape_text(s));
  }
  Tensor all = workspace.allocate(fresh.type(), {s[0], s[1], p[2] + s[2], s[3]});
  std::byte* to = all.mutable_bytes();
  const size_t heads = static_cast<size_t>(s[0] * s[1]);
  for (size_t head = 0; head < heads; ++head) {
    for (const Tensor* part : {&past, &fresh}) {
      const size_t bytes = part->byte_size() / heads;
      if (bytes > 0) std::memcpy(to, part->bytes() + head * bytes, bytes);
      to += bytes;
    }
  }
  return all;
}

std::vector<bool> kept_keys(const Tensor& mask, int64_t batch, int64_t queries, int64_t keys) {
  if (!mask.defined()) return {};
  const std::vector<int64_t> values = int_list(mask);
  if (mask.shape() == Shape{batch, keys} || mask.shape() == Shape{batch, queries, keys}) {
    std::vector<bool> kept(values.size());
    for (size_t i = 0; i < values.size(); ++i) kept[i] = values[i] != 0;
    return kept;
  }
  if (mask.shape() != Shape{batch} && mask.shape() != Shape{2 * batch}) {
    throw Error(ErrorKind::kUnsupported, "a mask {} for {} keys", shape_text(mask.shape()), keys);
  }
  std::vector<bool> kept(static_cast<size_t>(batch * keys));
  for (int64_t i = 0; i < batch * keys; ++i) {
    const auto image = static_cast<size_t>(i / keys);
    const int64_t begin = mask.size() == batch ? 0 : values[static_cast<size_t>(batch) + image];
    kept[static_cast<size_t>(i)] = i % keys >= begin && i % keys < values[image];
  }
  return kept;
}

Tensor attend(const ScoreRules& rules, const Tensor& q, const Tensor& k, const Tensor& v, const onednn::Matmul& fast,
              Workspace& workspace) {
  const Shape& s = q.shape();
  const Shape& t = k.shape();
  const bool fit = s[0] == t[0] && s[1] % t[1] == 0 && s[3] == t[3] && v.shape()[1] == t[1] && v.shape()[2] == t[2];
  if (!fit) {
    throw Error(ErrorKind::kModel, "queries {}, keys {}, values {}", shape_text(s), shape_text(t),
                shape_text(v.shape()));
  }
  // Heads that share keys are rows of one product.
  const Tensor rows = q.reshaped({s[0], t[1], s[1] / t[1] * s[2], s[3]});
  Tensor scores = matrix_product(rows, permuted(k, {0, 1, 3, 2}, workspace), fast, workspace);
  const Shape by_head{s[0], s[1], s[2], t[2]};
  const ScoreRows score_rows(rules, by_head);
  const float scale = rules.scale != 0 ? rules.scale : 1 / std::sqrt(static_cast<float>(s[3]));
  float* all = scores.mutable_data<float>().data();
  parallel_for(s[0] * s[1] * s[2], std::max<int64_t>(1, 4096 / std::max<int64_t>(1, t[2])),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) score_rows.run(row, scale, all + row * t[2]);
               });
  const Tensor mixed = matrix_product(scores, v, fast, workspace).reshaped({s[0], s[1], s[2], v.shape()[3]});
  return join_heads(mixed, workspace);
}

}  // namespace narrow::exec
