// TreeEnsemble, TreeEnsembleRegressor and TreeEnsembleClassifier.
#include <set>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/ml/scores.h"
#include "lib/exec/kernels/ml/tree_ensemble.h"

namespace narrow::exec {
namespace {

// Calls row(index, scores, touched) for each row of X, rows side by side; touched: which scores a leaf added to.
template <class Row>
void for_each_scored(const TreeEnsemble& trees, const Tensor& input, Workspace& workspace, Row row) {
  if (input.rank() != 2 || input.shape()[1] < trees.features) {
    throw Error(ErrorKind::kModel, "X {} for trees over {} features", shape_text(input.shape()), trees.features);
  }
  const bool wide = input.type() == DataType::kFloat64;
  const Tensor x = wide ? input : cast_tensor(input, DataType::kFloat32, workspace);
  const int64_t width = x.shape()[1];
  const auto grain = std::max<int64_t>(1, 4096 / std::max<int64_t>(1, static_cast<int64_t>(trees.roots.size())));
  dispatch_type(FloatTypes(), x.type(), [&]<class T>() {
    const T* from = x.data<T>().data();
    parallel_for(x.shape()[0], grain, [&](int64_t begin, int64_t end) {
      std::vector<double> scores(static_cast<size_t>(trees.targets));
      const auto touched = std::make_unique<bool[]>(scores.size());
      const std::span<bool> marks(touched.get(), scores.size());
      for (int64_t i = begin; i < end; ++i) {
        trees.score(from + i * width, std::span(scores), marks);
        row(i, scores, marks);
      }
    });
  });
}

KernelPtr regressor(TreeEnsemble trees, PostTransform transform, bool follows_input) {
  return kernel_of([trees = std::move(trees), transform, follows_input](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    if (x.rank() != 2) throw Error(ErrorKind::kModel, "X {}, expected [N, F]", shape_text(x.shape()));
    Tensor y = workspace.allocate(DataType::kFloat32, {x.shape()[0], trees.targets});
    const bool wide = follows_input && x.type() == DataType::kFloat64 && transform == PostTransform::kNone;
    Tensor wide_y = wide ? workspace.allocate(DataType::kFloat64, y.shape()) : Tensor();
    const auto to = y.mutable_data<float>();
    double* wide_to = wide ? wide_y.mutable_data<double>().data() : nullptr;
    for_each_scored(trees, x, workspace,
                    [&](int64_t row, const std::vector<double>& scores, std::span<const bool> /*touched*/) {
                      const auto first = static_cast<size_t>(row * trees.targets);
                      for (size_t i = 0; i < scores.size(); ++i) {
                        to[first + i] = static_cast<float>(scores[i]);
                        if (wide_to != nullptr) wide_to[first + i] = scores[i];
                      }
                      apply_post_transform(transform, to.subspan(first, scores.size()));
                    });
    outputs[0] = wide ? std::move(wide_y) : std::move(y);
  });
}

}  // namespace

KernelPtr make_tree_ensemble(const KernelRequest& request) {
  constexpr std::array kTransforms{PostTransform::kNone, PostTransform::kSoftmax, PostTransform::kLogistic,
                                   PostTransform::kSoftmaxZero, PostTransform::kProbit};
  const int64_t transform = graph::int_attribute(*request.node, "post_transform", 0);
  if (transform < 0 || transform >= static_cast<int64_t>(kTransforms.size())) refuse(request, "unknown post_transform");
  return regressor(read_trees(request), kTransforms[static_cast<size_t>(transform)], /*follows_input=*/true);
}

KernelPtr make_tree_ensemble_regressor(const KernelRequest& request) {
  TreeEnsemble trees = read_legacy_trees(request, "target");
  check_trees(trees);
  return regressor(std::move(trees), post_transform_of(request), /*follows_input=*/false);
}

namespace {

// The standard leaves open what two classes share and what a class without any leaf scores; this is onnxruntime's way,
// but for labels other than 0 and 1, in whose place it gives 0 and 1 if both classes have weights.
struct TreeClassifier {
  TreeEnsemble trees;
  ClassLabels labels;
  PostTransform transform = PostTransform::kNone;
  std::vector<double> base_values;  // none, one by class, or one for the first of two
  bool one_column = false;          // two labels, but all weights are those of one class
  bool positive_weights = false;

  /// Fills one row of outputs and returns the winning class.
  int64_t classify(std::span<const double> scores, std::span<const bool> touched, std::span<float> to) const {
    if (to.size() <= 2) return classify_two(scores, touched, to);
    int64_t winner = -1;
    for (size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<float>(scores[i] + (base_values.empty() ? 0 : base_values[i]));
      const bool counts = touched[i] || !base_values.empty();
      if (counts && (winner < 0 || to[i] > to[static_cast<size_t>(winner)])) winner = static_cast<int64_t>(i);
    }
    apply_post_transform(transform, to);
    return std::max<int64_t>(winner, 0);
  }

 private:
  // The second score decides, or the first in a row without a second, whose pair it then makes up.
  int64_t classify_two(std::span<const double> scores, std::span<const bool> touched, std::span<float> to) const {
    const bool has_second = to.size() == 2 && touched[1];
    double first = touched[0] ? scores[0] + (base_values.empty() ? 0 : base_values[0]) : 0;
    double second = has_second ? scores[1] : 0;
    if (base_values.size() == 2 && has_second) {
      second = base_values[1] + scores[0];
      first = touched[0] ? -second : 0;
    }
    const auto decisive = static_cast<float>(has_second ? second : first);
    const bool complement = one_column && positive_weights;
    to[0] = static_cast<float>(first);
    if (to.size() == 1) {
      if (transform == PostTransform::kProbit) apply_post_transform(transform, to);
      return 0;
    }
    to[1] = static_cast<float>(second);
    if (has_second || base_values.size() == 2) {
      apply_post_transform(transform, to);
    } else {
      split_binary_score(transform, complement ? BinarySplit::kComplement : BinarySplit::kOpposite, decisive, to);
    }
    return static_cast<int64_t>(decisive > (complement ? 0.5F : 0.0F));
  }
};

TreeClassifier tree_classifier(const KernelRequest& request) {
  TreeClassifier classifier{.trees = read_legacy_trees(request, "class"),
                            .labels = ClassLabels(*request.node, "classlabels_int64s"),
                            .transform = post_transform_of(request)};
  TreeEnsemble& trees = classifier.trees;
  trees.targets = classifier.labels.size();
  if (trees.targets < 1) refuse(request, "it has no class labels");
  classifier.base_values = std::exchange(trees.base_values, {});
  const auto bases = static_cast<int64_t>(classifier.base_values.size());
  if (bases != 0 && bases != trees.targets && !(bases == 1 && trees.targets == 2)) {
    refuse(request, fmt::format("{} base values for {} classes", bases, trees.targets));
  }
  std::set<int32_t> columns;
  classifier.positive_weights = true;
  for (const LeafWeight& weight : trees.weights) {
    columns.insert(weight.target);
    classifier.positive_weights = classifier.positive_weights && weight.weight >= 0;
  }
  check_trees(trees);
  classifier.one_column = trees.targets == 2 && columns.size() == 1;
  return classifier;
}

}  // namespace

KernelPtr make_tree_ensemble_classifier(const KernelRequest& request) {
  return kernel_of([classifier = tree_classifier(request)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                           Workspace& workspace) {
    const Tensor& x = required(inputs, 0);
    if (x.rank() != 2) throw Error(ErrorKind::kModel, "X {}, expected [N, F]", shape_text(x.shape()));
    const auto width = static_cast<size_t>(classifier.trees.targets);
    Tensor scores = workspace.allocate(DataType::kFloat32, {x.shape()[0], classifier.trees.targets});
    const auto to = scores.mutable_data<float>();
    std::vector<int64_t> winners(static_cast<size_t>(x.shape()[0]));
    for_each_scored(classifier.trees, x, workspace,
                    [&](int64_t row, const std::vector<double>& raw, std::span<const bool> touched) {
                      const auto at = static_cast<size_t>(row);
                      winners[at] = classifier.classify(raw, touched, to.subspan(at * width, width));
                    });
    outputs[0] = classifier.labels.pick(winners);
    if (outputs.size() > 1) outputs[1] = std::move(scores);
  });
}

}  // namespace narrow::exec
