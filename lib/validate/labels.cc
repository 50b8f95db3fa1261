#include "lib/validate/labels.h"

#include "lib/base/error.h"
#include "lib/validate/compare.h"

namespace narrow::validate {
namespace {

constexpr int kTop5 = 5;

}  // namespace

void LabelHits::add(const Tensor& reference, const Tensor& actual, int64_t label) {
  const auto x = score_rows(reference);
  const auto y = score_rows(actual);
  if (!x || !y || x->rows() != 1 || y->rows() != 1) {
    throw Error(ErrorKind::kData, "labels need one row of scores per sample, the output has shape {}",
                shape_text(reference.shape()));
  }
  if (label < 0 || label >= x->columns) {
    throw Error(ErrorKind::kData, "label {} is outside the {} scores", label, x->columns);
  }
  const auto hit = [&](const ScoreRows& scores, int k) { return in_top_k(scores.row(0), label, k) ? 1 : 0; };
  ++samples;
  top1_float += hit(*x, 1);
  top1_quantized += hit(*y, 1);
  top5_float += hit(*x, kTop5);
  top5_quantized += hit(*y, kTop5);
}

void LabelHits::add(const LabelHits& other) {
  samples += other.samples;
  top1_float += other.top1_float;
  top1_quantized += other.top1_quantized;
  top5_float += other.top5_float;
  top5_quantized += other.top5_quantized;
}

Accuracy LabelHits::accuracy() const {
  const auto share = [&](int64_t hits) {
    return samples == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(samples);
  };
  return {share(top1_float), share(top1_quantized), share(top5_float), share(top5_quantized)};
}

}  // namespace narrow::validate
