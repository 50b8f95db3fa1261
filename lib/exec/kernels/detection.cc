// NonMaxSuppression.
#include <cmath>

#include "lib/exec/kernels/families.h"
#include "lib/exec/kernels/support.h"

namespace narrow::exec {
namespace {

struct Box {
  float x_low = 0;
  float x_high = 0;
  float y_low = 0;
  float y_high = 0;

  float area() const { return (x_high - x_low) * (y_high - y_low); }
};

// Four numbers: [y1, x1, y2, x2], any two opposite corners, or [x_center, y_center, width, height].
Box read_box(const float* at, bool by_center) {
  if (by_center) {
    const float half_width = at[2] / 2;
    const float half_height = at[3] / 2;
    return {at[0] - half_width, at[0] + half_width, at[1] - half_height, at[1] + half_height};
  }
  return {std::min(at[1], at[3]), std::max(at[1], at[3]), std::min(at[0], at[2]), std::max(at[0], at[2])};
}

bool overlaps(const Box& a, const Box& b, float threshold) {
  const float width = std::min(a.x_high, b.x_high) - std::max(a.x_low, b.x_low);
  const float height = std::min(a.y_high, b.y_high) - std::max(a.y_low, b.y_low);
  if (width <= 0 || height <= 0) return false;
  const float common = width * height;
  const float all = a.area() + b.area() - common;
  if (common <= 0 || a.area() <= 0 || b.area() <= 0 || all <= 0) return false;
  return common / all > threshold;
}

struct Limits {
  int64_t boxes = 0;  // per class
  float overlap = 0;  // intersection over union above which the lower score goes
  bool has_score = false;
  float score = 0;  // scores must be above
};

// Indices of the boxes kept, by falling score; of equal scores the one with the smaller index comes first.
std::vector<int64_t> kept_boxes(const std::vector<Box>& boxes, const float* scores, const Limits& limits) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < boxes.size(); ++i) {
    if (!limits.has_score || scores[i] > limits.score) order.push_back(static_cast<int64_t>(i));
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  std::vector<int64_t> kept;
  for (const int64_t candidate : order) {
    if (static_cast<int64_t>(kept.size()) >= limits.boxes) break;
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](int64_t other) {
      return overlaps(boxes[static_cast<size_t>(candidate)], boxes[static_cast<size_t>(other)], limits.overlap);
    });
    if (!suppressed) kept.push_back(candidate);
  }
  return kept;
}

const Tensor* filled(const Tensor& tensor) {
  return tensor.defined() && tensor.size() > 0 ? &tensor : nullptr;
}

}  // namespace

KernelPtr make_non_max_suppression(const KernelRequest& request) {
  const bool by_center = graph::int_attribute(*request.node, "center_point_box", 0) != 0;
  return kernel_of([=, most = Operand(request, 2), overlap = Operand(request, 3), score = Operand(request, 4)](
                       std::span<Tensor> inputs, std::span<Tensor> outputs, Workspace& workspace) {
    const Tensor& boxes = required(inputs, 0);
    const Tensor& scores = required(inputs, 1);
    const bool fits = boxes.rank() == 3 && scores.rank() == 3 && boxes.shape()[2] == 4 &&
                      boxes.shape()[0] == scores.shape()[0] && boxes.shape()[1] == scores.shape()[2];
    if (!fits) {
      throw Error(ErrorKind::kModel, "boxes {} and scores {}", shape_text(boxes.shape()), shape_text(scores.shape()));
    }
    Limits limits;
    if (const Tensor* value = filled(most.in(inputs))) limits.boxes = static_cast<int64_t>(scalar_value(*value));
    if (const Tensor* value = filled(overlap.in(inputs))) limits.overlap = static_cast<float>(scalar_value(*value));
    if (const Tensor* value = filled(score.in(inputs))) {
      limits.has_score = true;
      limits.score = static_cast<float>(scalar_value(*value));
    }
    const int64_t count = boxes.shape()[1];
    const int64_t classes = scores.shape()[1];
    std::vector<std::vector<int64_t>> kept(static_cast<size_t>(boxes.shape()[0] * classes));
    parallel_for(static_cast<int64_t>(kept.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        std::vector<Box> list;
        const float* first = boxes.data<float>().data() + row / classes * count * 4;
        for (int64_t i = 0; i < count; ++i) list.push_back(read_box(first + i * 4, by_center));
        kept[static_cast<size_t>(row)] = kept_boxes(list, scores.data<float>().data() + row * count, limits);
      }
    });
    std::vector<int64_t> result;
    for (size_t row = 0; row < kept.size(); ++row) {
      const auto place = static_cast<int64_t>(row);
      for (const int64_t box : kept[row]) result.insert(result.end(), {place / classes, place % classes, box});
    }
    outputs[0] = workspace.allocate(DataType::kInt64, {static_cast<int64_t>(result.size() / 3), 3});
    std::copy(result.begin(), result.end(), outputs[0].mutable_data<int64_t>().begin());
  });
}

}  // namespace narrow::exec
