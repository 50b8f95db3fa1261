// TreeEnsemble, TreeEnsembleRegressor and TreeEnsembleClassifier.
#include <set>

#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/ml/scores.h"
#include "lib/exec/kernels/ml/tree_ensemble.h"

namespace narrow::exec {
namespace {

// Calls row(index, scores) for each row of X, rows side by side.
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
        row(i, scores);
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
    for_each_scored(trees, x, workspace, [&](int64_t row, const std::vector<double>& scores) {
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

struct TreeClassifier {
  TreeEnsemble trees;
  ClassLabels labels;
  PostTransform transform = PostTransform::kNone;
  bool one_column =
      false;  // two labels, but all weights are those of one class, whose score says how likely the second is
  bool positive_weights = false;
  size_t column = 0;  // that class

  /// Fills one row of outputs and returns the winning class.
  int64_t classify(const std::vector<double>& scores, std::span<float> to) const {
    const auto decisive = static_cast<float>(scores[column]);
    if (one_column && column == 0) {
      split_binary_score(transform, positive_weights ? BinarySplit::kComplement : BinarySplit::kOpposite, decisive, to);
    } else {
      for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(scores[i]);
    }
    const int64_t winner = one_column ? static_cast<int64_t>(decisive > (positive_weights ? 0.5F : 0.0F))
                                      : std::max_element(to.begin(), to.end()) - to.begin();
    if (!one_column || column != 0) apply_post_transform(transform, to);
    return winner;
  }
};

TreeClassifier tree_classifier(const KernelRequest& request) {
  TreeClassifier classifier{.trees = read_legacy_trees(request, "class"),
                            .labels = ClassLabels(*request.node, "classlabels_int64s"),
                            .transform = post_transform_of(request)};
  TreeEnsemble& trees = classifier.trees;
  trees.targets = classifier.labels.size();
  if (trees.targets < 1) refuse(request, "it has no class labels");
  std::set<int32_t> columns;
  classifier.positive_weights = true;
  for (const LeafWeight& weight : trees.weights) {
    columns.insert(weight.target);
    classifier.positive_weights = classifier.positive_weights && weight.weight >= 0;
  }
  check_trees(trees);
  classifier.one_column = trees.targets == 2 && columns.size() == 1;
  if (classifier.one_column) classifier.column = static_cast<size_t>(*columns.begin());
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
    for_each_scored(classifier.trees, x, workspace, [&](int64_t row, const std::vector<double>& raw) {
      const auto at = static_cast<size_t>(row);
      winners[at] = classifier.classify(raw, to.subspan(at * width, width));
    });
    outputs[0] = classifier.labels.pick(winners);
    if (outputs.size() > 1) outputs[1] = std::move(scores);
  });
}

}  // namespace narrow::exec
