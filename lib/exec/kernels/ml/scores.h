// What the classifiers of ai.onnx.ml share: class labels and the last step from raw scores to outputs.
#pragma once

#include <string>
#include <vector>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

enum class PostTransform { kNone, kSoftmax, kLogistic, kSoftmaxZero, kProbit };

/// Refuses an unknown name.
PostTransform post_transform_of(const KernelRequest& request);

/// In place over one row of scores.
void apply_post_transform(PostTransform transform, std::span<float> scores);

/// The labels that the node names, as int64 or strings.
class ClassLabels {
 public:
  /// `integers`: the attribute's name, which differs between operators.
  ClassLabels(const onnx::NodeProto& node, const char* integers);

  int64_t size() const { return static_cast<int64_t>(strings_.empty() ? integers_.size() : strings_.size()); }
  /// A tensor [classes.size()] of the labels with these indices.
  Tensor pick(const std::vector<int64_t>& classes) const;

 private:
  std::vector<int64_t> integers_;
  std::vector<std::string> strings_;
};

/// How one score s that decides between two classes becomes a pair. The standard leaves it open; these are
/// onnxruntime's.
enum class BinarySplit { kOpposite, kComplement };  // [-s, s], [1 - s, s]

/// With LOGISTIC the pair is logistic(-s), logistic(s) whatever `split` says. With PROBIT it is probit(1 - s),
/// probit(s) as in ONNX's reference of trees: onnxruntime writes one of two numbers and leaves the other as its memory
/// was. No other transform goes over the pair.
void split_binary_score(PostTransform transform, BinarySplit split, float score, std::span<float> pair);

}  // namespace narrow::exec
