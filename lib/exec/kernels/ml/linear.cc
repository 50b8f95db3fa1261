// LinearClassifier and LinearRegressor.
#include "lib/exec/kernels/cast.h"
#include "lib/exec/kernels/ml/families.h"
#include "lib/exec/kernels/ml/scores.h"

namespace narrow::exec {
namespace {

struct LinearModel {
  std::vector<float> coefficients;  // [targets, features]
  std::vector<float> intercepts;    // [targets], or empty
  int64_t targets = 1;

  /// [N, targets]; sums in float64.
  Tensor scores(const Tensor& input, Workspace& workspace) const {
    const Tensor x = cast_tensor(input, DataType::kFloat32, workspace);
    const int64_t rows = x.rank() == 2 ? x.shape()[0] : 1;
    const int64_t features = x.rank() == 0 ? 1 : x.shape().back();
    if (x.rank() > 2 || static_cast<int64_t>(coefficients.size()) != targets * features) {
      throw Error(ErrorKind::kModel, "{} coefficients for {} targets of {}", coefficients.size(), targets,
                  shape_text(x.shape()));
    }
    Tensor y = workspace.allocate(DataType::kFloat32, {rows, targets});
    const float* from = x.data<float>().data();
    float* to = y.mutable_data<float>().data();
    parallel_for(rows * targets, std::max<int64_t>(1, kElementGrain / std::max<int64_t>(1, features)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t target = i % targets;
                     double sum = intercepts.empty() ? 0 : static_cast<double>(intercepts[static_cast<size_t>(target)]);
                     for (int64_t f = 0; f < features; ++f) {
                       sum += static_cast<double>(from[i / targets * features + f]) *
                              static_cast<double>(coefficients[static_cast<size_t>(target * features + f)]);
                     }
                     to[i] = static_cast<float>(sum);
                   }
                 });
    return y;
  }
};

LinearModel linear_model(const KernelRequest& request, int64_t targets) {
  LinearModel model{.coefficients = graph::floats_attribute(*request.node, "coefficients"),
                    .intercepts = graph::floats_attribute(*request.node, "intercepts"),
                    .targets = targets};
  if (!model.intercepts.empty() && static_cast<int64_t>(model.intercepts.size()) != targets) {
    refuse(request, fmt::format("{} intercepts for {} targets", model.intercepts.size(), targets));
  }
  return model;
}

void transform_rows(PostTransform transform, Tensor& scores) {
  const auto width = static_cast<size_t>(scores.shape()[1]);
  for (int64_t row = 0; row < scores.shape()[0]; ++row) {
    apply_post_transform(transform, scores.mutable_data<float>().subspan(static_cast<size_t>(row) * width, width));
  }
}

}  // namespace

// One row of coefficients for two classes scores the second: the label is by its sign.
KernelPtr make_linear_classifier(const KernelRequest& request) {
  const ClassLabels labels(*request.node, "classlabels_ints");
  const PostTransform transform = post_transform_of(request);
  const auto intercepts = graph::floats_attribute(*request.node, "intercepts");
  const int64_t targets =
      intercepts.empty() ? std::max<int64_t>(1, labels.size()) : static_cast<int64_t>(intercepts.size());
  const bool binary = targets == 1 && labels.size() == 2;
  if (!binary && labels.size() != targets) refuse(request, "labels do not fit the scores");
  return kernel_of([=, model = linear_model(request, targets)](std::span<Tensor> inputs, std::span<Tensor> outputs,
                                                               Workspace& workspace) {
    Tensor scores = model.scores(required(inputs, 0), workspace);
    const int64_t rows = scores.shape()[0];
    std::vector<int64_t> classes;
    for (int64_t row = 0; row < rows; ++row) {
      const float* line = scores.data<float>().data() + row * targets;
      classes.push_back(binary ? static_cast<int64_t>(line[0] > 0) : std::max_element(line, line + targets) - line);
    }
    if (binary) {
      Tensor pairs = workspace.allocate(DataType::kFloat32, {rows, 2});
      const auto to = pairs.mutable_data<float>();
      for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
        split_binary_score(transform, BinarySplit::kComplement, scores.data<float>()[row], to.subspan(row * 2, 2));
      }
      scores = std::move(pairs);
    } else {
      transform_rows(transform, scores);
    }
    outputs[0] = labels.pick(classes);
    if (outputs.size() > 1) outputs[1] = std::move(scores);
  });
}

KernelPtr make_linear_regressor(const KernelRequest& request) {
  const PostTransform transform = post_transform_of(request);
  return kernel_of([transform, model = linear_model(request, graph::int_attribute(*request.node, "targets", 1))](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    outputs[0] = model.scores(required(inputs, 0), workspace);
    transform_rows(transform, outputs[0]);
  });
}

}  // namespace narrow::exec
