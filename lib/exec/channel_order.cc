#include "lib/exec/channel_order.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"

namespace narrow::exec {
namespace {

// One axis of memory: so many elements, so far apart in the source.
struct Loop {
  int64_t size = 1;
  int64_t step = 1;
};

// An axis of a tensor: the index runs through the loops as through digits, the last fastest.
using Axis = std::vector<Loop>;

// Where each element of a tensor lies in the source, in elements.
struct View {
  std::vector<Axis> axes;
  int64_t offset = 0;
};

View plain_view(const Shape& shape) {
  View view{.axes = std::vector<Axis>(shape.size()), .offset = 0};
  int64_t step = 1;
  for (size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] != 1) view.axes[axis] = {{.size = shape[axis], .step = step}};
    step *= shape[axis];
  }
  return view;
}

// The next `size` elements of the loops from `position` on; false where they do not come apart there.
bool take(std::vector<Loop>& loops, size_t& position, int64_t size, Axis& axis) {
  while (size > 1) {
    if (position == loops.size()) return false;
    Loop& loop = loops[position];
    if (size % loop.size == 0) {
      axis.push_back(loop);
      size /= loop.size;
      ++position;
    } else if (loop.size % size == 0) {
      loop.size /= size;
      axis.push_back({.size = size, .step = loop.step * loop.size});
      return true;
    } else {
      return false;
    }
  }
  return true;
}

std::optional<View> reshaped(const View& view, const Shape& shape) {
  std::vector<Loop> loops;
  for (const Axis& axis : view.axes) loops.insert(loops.end(), axis.begin(), axis.end());
  View result{.axes = std::vector<Axis>(shape.size()), .offset = view.offset};
  size_t position = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (!take(loops, position, shape[axis], result.axes[axis])) return std::nullopt;
  }
  return position == loops.size() ? std::optional(result) : std::nullopt;
}

std::optional<View> transposed(const View& view, const std::vector<int64_t>& order) {
  if (order.size() != view.axes.size()) return std::nullopt;
  View result{.axes = {}, .offset = view.offset};
  for (const int64_t axis : order) result.axes.push_back(view.axes.at(static_cast<size_t>(axis)));
  return result;
}

// Where an index of the axis lies.
int64_t place(const Axis& axis, int64_t index) {
  int64_t result = 0;
  for (auto loop = axis.rbegin(); loop != axis.rend(); ++loop) {
    result += index % loop->size * loop->step;
    index /= loop->size;
  }
  return result;
}

int64_t length(const Axis& axis) {
  int64_t result = 1;
  for (const Loop& loop : axis) result *= loop.size;
  return result;
}

// The channels of the view's result where it has whole images of the source: axes [C, spatial...], the source's too.
std::optional<std::vector<int64_t>> channels_of(const View& view, const Shape& source) {
  if (view.axes.size() != source.size()) return std::nullopt;
  int64_t image = 1;
  for (size_t axis = source.size(); axis-- > 1;) {
    const Axis& spatial = view.axes[axis];
    if (length(spatial) != source[axis]) return std::nullopt;
    int64_t step = image;
    for (auto loop = spatial.rbegin(); loop != spatial.rend(); ++loop) {
      if (loop->step != step) return std::nullopt;
      step *= loop->size;
    }
    image *= source[axis];
  }
  if (view.offset % image != 0) return std::nullopt;
  std::vector<int64_t> channels;
  for (int64_t c = 0; c < length(view.axes[0]); ++c) {
    const int64_t at = place(view.axes[0], c);
    if (at % image != 0) return std::nullopt;
    channels.push_back((view.offset + at) / image);
  }
  return channels;
}

// Follows one sample's elements. Of a single sample all axes may be mixed; with more of them, or an unknown number, the
// first axis must stay what it is, and the others are looked at.
class Selection {
 public:
  explicit Selection(const FusionContext& context) : context_(context) {}

  std::optional<ChannelOrder> select(const onnx::NodeProto& first) {
    const auto source = context_.index.type(first.input(0)).shape;
    const onnx::NodeProto* transpose = context_.only_reader(first.output(0));
    if (!source || source->size() < 3 || !is(transpose, "Transpose")) return std::nullopt;
    const onnx::NodeProto* second = context_.only_reader(transpose->output(0));
    if (!is(second, "Reshape")) return std::nullopt;
    batch_ = (*source)[0];
    const auto sample = sample_shape(*source);
    if (!sample || !known(*sample)) return std::nullopt;
    sample_ = without_one(*sample);
    std::optional<View> view = after_reshape(plain_view(*sample), first.output(0));
    if (view) view = after_transpose(*view, *transpose);
    if (view) view = after_reshape(*view, second->output(0));
    if (!view) return std::nullopt;
    ChannelOrder order{.nodes = {&first, transpose}, .source = first.input(0), .shape = *source, .choices = {}};
    if (halves(*view, *second, order)) return order;
    return add_choice(*view, *second, order) ? std::optional(order) : std::nullopt;
  }

 private:
  static bool is(const onnx::NodeProto* node, std::string_view op_type) {
    return node != nullptr && node->op_type() == op_type && graph::canonical_domain(node->domain()).empty();
  }

  static bool known(const Shape& shape) {
    return std::all_of(shape.begin(), shape.end(), [](int64_t size) { return size > 0; });
  }

  bool one_sample() const { return batch_ == 1; }

  // A single sample's axis of its own.
  Shape without_one(Shape shape) const {
    if (one_sample()) shape.erase(shape.begin());
    return shape;
  }

  std::optional<Shape> sample_shape(const Shape& shape) const {
    if (one_sample()) return shape;
    if (shape.empty() || shape[0] != batch_) return std::nullopt;
    return Shape(shape.begin() + 1, shape.end());
  }

  std::optional<View> after_reshape(const View& view, const std::string& value) const {
    const auto shape = context_.index.type(value).shape;
    const auto sample = shape ? sample_shape(*shape) : std::nullopt;
    return sample && known(*sample) ? reshaped(view, *sample) : std::nullopt;
  }

  std::optional<View> after_transpose(const View& view, const onnx::NodeProto& node) const {
    std::vector<int64_t> order = graph::ints_attribute(node, "perm");
    if (!one_sample()) {
      if (order.empty() || order[0] != 0) return std::nullopt;
      order.erase(order.begin());
      for (int64_t& axis : order) --axis;
    }
    return order.empty() ? std::nullopt : transposed(view, order);
  }

  bool add_choice(const View& view, const onnx::NodeProto& last, ChannelOrder& order) const {
    View sample = view;
    if (one_sample()) {
      if (sample.axes.empty() || !sample.axes[0].empty()) return false;
      sample.axes.erase(sample.axes.begin());
    }
    auto channels = channels_of(sample, sample_);
    if (!channels) return false;
    order.choices.push_back({.last = &last, .channels = std::move(*channels)});
    return true;
  }

  // Every reader of the second Reshape takes an index of one axis.
  bool halves(const View& view, const onnx::NodeProto& second, ChannelOrder& order) const {
    const auto readers = context_.hidden_readers(second.output(0));
    ChannelOrder result = order;
    for (const onnx::NodeProto* reader : readers) {
      const auto part = after_gather(view, *reader, second.output(0));
      if (!part || !add_choice(*part, *reader, result)) return false;
    }
    if (readers.empty()) return false;
    result.nodes.push_back(&second);
    order = std::move(result);
    return true;
  }

  std::optional<View> after_gather(const View& view, const onnx::NodeProto& node, const std::string& value) const {
    if (!is(&node, "Gather") || node.input(0) != value) return std::nullopt;
    const Tensor* index = context_.constants.find(node.input(1));
    if (index == nullptr || index->rank() != 0 || index->type() != DataType::kInt64) return std::nullopt;
    const int64_t first = one_sample() ? 0 : 1;  // axis of the view
    const auto rank = static_cast<int64_t>(view.axes.size()) + first;
    int64_t axis = graph::int_attribute(node, "axis", 0);
    axis = (axis < 0 ? axis + rank : axis) - first;
    if (axis < 0 || axis + first >= rank) return std::nullopt;
    View result = view;
    const Axis taken = view.axes[static_cast<size_t>(axis)];
    const int64_t wanted = index->data<int64_t>()[0];
    const int64_t at = wanted < 0 ? wanted + length(taken) : wanted;
    if (at < 0 || at >= length(taken)) return std::nullopt;
    result.offset += place(taken, at);
    result.axes.erase(result.axes.begin() + axis);
    return result;
  }

  const FusionContext& context_;
  int64_t batch_ = 0;
  Shape sample_;  // [C, spatial...]
};

}  // namespace

std::optional<ChannelOrder> select_channel_order(const onnx::NodeProto& reshape, const FusionContext& context) {
  if (reshape.op_type() != "Reshape" || !graph::canonical_domain(reshape.domain()).empty()) return std::nullopt;
  return Selection(context).select(reshape);
}

}  // namespace narrow::exec
