// SVMClassifier and SVMRegressor.
#include <cmath>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/ml/pairwise.h"
#include "lib/exec/kernels/ml/scores.h"

namespace narrow::exec {
namespace {

enum class SvmKernel { kLinear, kPoly, kRbf, kSigmoid };

SvmKernel svm_kernel(const KernelRequest& request) {
  const std::string name = graph::string_attribute(*request.node, "kernel_type", "LINEAR");
  if (name == "LINEAR") return SvmKernel::kLinear;
  if (name == "POLY") return SvmKernel::kPoly;
  if (name == "RBF") return SvmKernel::kRbf;
  if (name == "SIGMOID") return SvmKernel::kSigmoid;
  refuse(request, "unknown kernel_type '" + name + "'");
}

struct SvmFunction {
  SvmKernel kind = SvmKernel::kLinear;
  double gamma = 0;
  double offset = 0;
  double degree = 0;

  double operator()(const float* a, const float* b, int64_t count) const {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto x = static_cast<double>(a[i]);
      const auto y = static_cast<double>(b[i]);
      sum += kind == SvmKernel::kRbf ? (x - y) * (x - y) : x * y;
    }
    switch (kind) {
      case SvmKernel::kLinear:
        return sum;
      case SvmKernel::kPoly:
        return std::pow(gamma * sum + offset, degree);
      case SvmKernel::kRbf:
        return std::exp(-gamma * sum);
      case SvmKernel::kSigmoid:
        break;
    }
    return std::tanh(gamma * sum + offset);
  }
};

SvmFunction svm_function(const KernelRequest& request) {
  const std::vector<float> parameters = graph::floats_attribute(*request.node, "kernel_params");
  SvmFunction function{.kind = svm_kernel(request)};
  if (parameters.size() < 3) return function;
  function.gamma = static_cast<double>(parameters[0]);
  function.offset = static_cast<double>(parameters[1]);
  function.degree = static_cast<double>(parameters[2]);
  return function;
}

struct SvmModel {
  SvmFunction function;
  std::vector<float> coefficients;
  std::vector<float> vectors;  // [supports, features]
  std::vector<float> rho;
  int64_t supports = 0;  // 0: the coefficients are those of linear functions

  /// `count` kernel values of a row against the rows of `others`.
  std::vector<double> values(const float* row, const std::vector<float>& others, int64_t count,
                             int64_t features) const {
    std::vector<double> result;
    for (int64_t i = 0; i < count; ++i) result.push_back(function(row, others.data() + i * features, features));
    return result;
  }
};

SvmModel svm_model(const KernelRequest& request, int64_t supports) {
  SvmModel model{.function = svm_function(request),
                 .coefficients = graph::floats_attribute(*request.node, "coefficients"),
                 .vectors = graph::floats_attribute(*request.node, "support_vectors"),
                 .rho = graph::floats_attribute(*request.node, "rho"),
                 .supports = supports};
  if (model.rho.empty() || model.coefficients.empty()) refuse(request, "coefficients or rho are missing");
  if (supports == 0) model.function = {};
  return model;
}

// The rows as float32, and how many features they have.
struct SvmRows {
  Tensor x;
  int64_t rows = 1;
  int64_t features = 0;
};

SvmRows svm_rows(const Tensor& input, const SvmModel& model, Workspace& workspace) {
  SvmRows rows{.x = cast_tensor(input, DataType::kFloat32, workspace)};
  if (input.rank() == 0 || input.rank() > 2) throw Error(ErrorKind::kModel, "X {}", shape_text(input.shape()));
  rows.rows = input.rank() == 2 ? input.shape()[0] : 1;
  rows.features = input.shape().back();
  if (model.supports > 0 && static_cast<int64_t>(model.vectors.size()) != model.supports * rows.features) {
    throw Error(ErrorKind::kModel, "{} support vectors for {} features", model.supports, rows.features);
  }
  return rows;
}

}  // namespace

KernelPtr make_svm_regressor(const KernelRequest& request) {
  const SvmModel model = svm_model(request, graph::int_attribute(*request.node, "n_supports", 0));
  const bool one_class = graph::int_attribute(*request.node, "one_class", 0) != 0;
  const PostTransform transform = post_transform_of(request);
  if (model.supports > static_cast<int64_t>(model.coefficients.size())) refuse(request, "coefficients are missing");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const SvmRows in = svm_rows(required(inputs, 0), model, workspace);
    if (model.supports == 0 && static_cast<int64_t>(model.coefficients.size()) != in.features) {
      throw Error(ErrorKind::kModel, "{} coefficients for {} features", model.coefficients.size(), in.features);
    }
    outputs[0] = workspace.allocate(DataType::kFloat32, {in.rows, 1});
    const auto to = outputs[0].mutable_data<float>();
    parallel_for(in.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const float* x = in.x.data<float>().data() + row * in.features;
        auto sum = static_cast<double>(model.rho[0]);
        if (model.supports == 0) sum += model.function(x, model.coefficients.data(), in.features);
        const std::vector<double> values = model.values(x, model.vectors, model.supports, in.features);
        for (size_t i = 0; i < values.size(); ++i) sum += values[i] * static_cast<double>(model.coefficients[i]);
        const auto at = static_cast<size_t>(row);
        to[at] = one_class ? (sum > 0 ? 1.0F : -1.0F) : static_cast<float>(sum);
        apply_post_transform(transform, to.subspan(at, 1));
      }
    });
  });
}

namespace {

struct SvmClassifier {
  SvmModel model;
  PairwiseVotes pairs;  // of the model with support vectors
  std::vector<float> prob_a;
  std::vector<float> prob_b;
  PostTransform transform = PostTransform::kNone;
  int64_t classes = 1;

  bool has_probabilities() const { return !prob_a.empty() && model.supports > 0; }
  /// Scores before the post-transform.
  int64_t raw_width() const {
    return model.supports == 0 || has_probabilities() ? classes : classes * (classes - 1) / 2;
  }
  bool splits_score() const { return raw_width() == 1 && classes == 2; }
  int64_t width() const { return splits_score() ? 2 : raw_width(); }

  /// Fills `scores` (width()) and returns the winning class.
  int64_t classify(const float* x, int64_t features, std::span<float> scores) const {
    std::vector<double> raw;
    std::vector<int64_t> votes;
    if (model.supports == 0) {
      raw = model.values(x, model.coefficients, classes, features);
      for (double& score : raw) score += static_cast<double>(model.rho[0]);
    } else {
      raw = pairs.scores(model.values(x, model.vectors, model.supports, features), model.coefficients, model.rho);
      votes = pairs.votes(raw);
      if (has_probabilities()) raw = pairs.probabilities(raw, prob_a, prob_b);
    }
    // Where there are votes they decide, even against the probabilities.
    const int64_t winner = votes.empty() ? std::max_element(raw.begin(), raw.end()) - raw.begin()
                                         : std::max_element(votes.begin(), votes.end()) - votes.begin();
    if (splits_score()) {
      const auto split = transform == PostTransform::kNone ? BinarySplit::kOpposite : BinarySplit::kComplement;
      split_binary_score(transform, split, static_cast<float>(raw[0]), scores);
      return winner;
    }
    for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(raw[i]);
    apply_post_transform(transform, scores);
    return winner;
  }
};

}  // namespace

KernelPtr make_svm_classifier(const KernelRequest& request) {
  const ClassLabels labels(*request.node, "classlabels_ints");
  const std::vector<int64_t> per_class = graph::ints_attribute(*request.node, "vectors_per_class");
  int64_t supports = 0;
  for (const int64_t count : per_class) supports += count;
  const SvmClassifier classifier{.model = svm_model(request, supports),
                                 .pairs = PairwiseVotes(per_class),
                                 .prob_a = graph::floats_attribute(*request.node, "prob_a"),
                                 .prob_b = graph::floats_attribute(*request.node, "prob_b"),
                                 .transform = post_transform_of(request),
                                 .classes = std::max<int64_t>(1, labels.size())};
  const auto& coefficients = classifier.model.coefficients;
  const int64_t pair_count = classifier.classes * (classifier.classes - 1) / 2;
  const bool fits =
      supports == 0 || (static_cast<int64_t>(per_class.size()) == classifier.classes &&
                        static_cast<int64_t>(coefficients.size()) == (classifier.classes - 1) * supports &&
                        static_cast<int64_t>(classifier.model.rho.size()) >= pair_count);
  const bool has_pairs = classifier.prob_a.empty() || (static_cast<int64_t>(classifier.prob_a.size()) >= pair_count &&
                                                       classifier.prob_a.size() == classifier.prob_b.size());
  if (!fits || !has_pairs) refuse(request, "coefficients, rho or probabilities do not fit the classes");
  return kernel_of([=](std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const SvmRows in = svm_rows(required(inputs, 0), classifier.model, workspace);
    const auto& weights = classifier.model.coefficients;
    if (classifier.model.supports == 0 && static_cast<int64_t>(weights.size()) != classifier.classes * in.features) {
      throw Error(ErrorKind::kModel, "{} coefficients for {} features", weights.size(), in.features);
    }
    Tensor scores = workspace.allocate(DataType::kFloat32, {in.rows, classifier.width()});
    const auto to = scores.mutable_data<float>();
    const auto width = static_cast<size_t>(classifier.width());
    std::vector<int64_t> winners(static_cast<size_t>(in.rows));
    parallel_for(in.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto at = static_cast<size_t>(row);
        winners[at] = classifier.classify(in.x.data<float>().data() + row * in.features, in.features,
                                          to.subspan(at * width, width));
      }
    });
    outputs[0] = labels.pick(winners);
    if (outputs.size() > 1) outputs[1] = std::move(scores);
  });
}

}  // namespace narrow::exec
