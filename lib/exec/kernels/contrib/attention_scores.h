// What the attention operators of com.microsoft share: heads of queries, keys and values, and the sums over keys.
#pragma once

#include <span>
#include <vector>

#include "lib/exec/kernels/support.h"
#include "lib/onednn/matmul.h"

namespace narrow::exec {

/// The columns [first, first + width) of [B, S, hidden] as [B, heads, S, width / heads], a bias of that width added.
Tensor split_heads(const Tensor& x, int64_t first, int64_t width, int64_t heads, const float* bias,
                   Workspace& workspace);

/// [B, heads, P, D] and [B, heads, S, D] one behind the other; `past` may be undefined.
Tensor behind_past(const Tensor& past, const Tensor& fresh, Workspace& workspace);

/// Which keys a query sees, and what is added to their scores.
struct ScoreRules {
  float scale = 0;    // 0: one over the root of a head's size
  float softcap = 0;  // > 0: scores become softcap * tanh(score / softcap)
  bool causal = false;
  int64_t window = 0;  // > 0: a query sees so many keys, the last of them its own
  std::vector<int64_t> past =
      {};  // by image: keys in front of the first query's own; empty: all but as many as queries
  std::vector<int64_t> keys = {};  // by image: keys in use; empty: all
  std::vector<float> sinks = {};   // by head: one more score, whose share goes nowhere
  float masked = 0;                // added to the scores of keys that are not kept
  std::vector<bool> kept = {};     // [B, 1 or queries, keys]; empty: all
  Tensor bias = {};                // [1 or B, 1 or heads, queries, keys], or undefined
};

/// `mask` as ScoreRules has it: [B, T] or [B, S, T] of 0 and 1; [B], the number of keys kept; or [2 B], the ends of the
/// keys kept, then their begins. Undefined: nothing.
std::vector<bool> kept_keys(const Tensor& mask, int64_t batch, int64_t queries, int64_t keys);

/// q [B, N, S, D], k [B, M, T, D], v [B, M, T, E] with N a multiple of M -> softmax(q k' ...) v as [B, S, N * E].
Tensor attend(const ScoreRules& rules, const Tensor& q, const Tensor& k, const Tensor& v, const onednn::Matmul& fast,
              Workspace& workspace);

}  // namespace narrow::exec
