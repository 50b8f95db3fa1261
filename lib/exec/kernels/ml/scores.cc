#include "lib/exec/kernels/ml/scores.h"

#include <cmath>
#include <numbers>

namespace narrow::exec {
namespace {

float logistic(float x) {
  const float v = 1 / (1 + std::exp(-std::abs(x)));
  return x < 0 ? 1 - v : v;
}

// sqrt(2) * erf^-1(2 p - 1) by Winitzki's approximation with a = 0.147, as the reference implementation has it; in
// float32 and with onnxruntime's pi, because near p = 0.5 only the order of roundings decides the digits.
float probit(float p) {
  constexpr float kA = 0.147F;
  constexpr float kPi = 3.14159F;
  const float x = 2 * p - 1;
  const float log = std::log((1 - x) * (1 + x));
  const float half = 2 / (kPi * kA) + 0.5F * log;
  const float magnitude = std::sqrt(-half + std::sqrt(half * half - 1 / kA * log));
  return std::numbers::sqrt2_v<float> * (x < 0 ? -magnitude : magnitude);
}

// `keeps_zero`: a score of 0 gives exp(-max) times itself, which is 0.
void softmax(std::span<float> scores, bool keeps_zero) {
  const float top = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (float& score : scores) {
    const bool is_zero = keeps_zero && std::abs(score) <= 1e-7F;
    score = is_zero ? score * std::exp(-top) : std::exp(score - top);
    sum += static_cast<double>(score);
  }
  for (float& score : scores) score = sum == 0 ? 0.5F : static_cast<float>(static_cast<double>(score) / sum);
}

}  // namespace

PostTransform post_transform_of(const KernelRequest& request) {
  const std::string name = graph::string_attribute(*request.node, "post_transform", "NONE");
  if (name == "NONE") return PostTransform::kNone;
  if (name == "SOFTMAX") return PostTransform::kSoftmax;
  if (name == "LOGISTIC") return PostTransform::kLogistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::kSoftmaxZero;
  if (name == "PROBIT") return PostTransform::kProbit;
  refuse(request, "unknown post_transform '" + name + "'");
}

void apply_post_transform(PostTransform transform, std::span<float> scores) {
  if (scores.empty()) return;
  switch (transform) {
    case PostTransform::kNone:
      break;
    case PostTransform::kSoftmax:
      softmax(scores, /*keeps_zero=*/false);
      break;
    case PostTransform::kSoftmaxZero:
      softmax(scores, /*keeps_zero=*/true);
      break;
    case PostTransform::kLogistic:
      for (float& score : scores) score = logistic(score);
      break;
    case PostTransform::kProbit:
      for (float& score : scores) score = probit(score);
      break;
  }
}

ClassLabels::ClassLabels(const onnx::NodeProto& node, const char* integers)
    : integers_(graph::ints_attribute(node, integers)),
      strings_(graph::strings_attribute(node, "classlabels_strings")) {}

Tensor ClassLabels::pick(const std::vector<int64_t>& classes) const {
  const Shape shape{static_cast<int64_t>(classes.size())};
  if (strings_.empty()) {
    std::vector<int64_t> labels;
    for (const int64_t c : classes) labels.push_back(integers_.empty() ? c : integers_[static_cast<size_t>(c)]);
    return Tensor::of<int64_t>(shape, labels);
  }
  std::vector<std::string> labels;
  for (const int64_t c : classes) labels.push_back(strings_[static_cast<size_t>(c)]);
  return Tensor::of_strings(shape, std::move(labels));
}

void split_binary_score(PostTransform transform, BinarySplit split, float score, std::span<float> pair) {
  const bool is_logistic = transform == PostTransform::kLogistic;
  const bool is_probit = transform == PostTransform::kProbit;
  const bool complement = (split == BinarySplit::kComplement && !is_logistic) || is_probit;
  pair[0] = complement ? 1 - score : -score;
  pair[1] = score;
  if (is_logistic || is_probit) apply_post_transform(transform, pair);
}

}  // namespace narrow::exec
