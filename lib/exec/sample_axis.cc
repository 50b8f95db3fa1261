#include "lib/exec/sample_axis.h"

#include <algorithm>
#include <unordered_map>

#include "lib/exec/size_values.h"
#include "lib/graph/attributes.h"
#include "lib/graph/model.h"
#include "lib/tensor/data_type.h"

namespace narrow::exec {
namespace {

bool is_op(const onnx::NodeProto& node, std::string_view op_type) {
  return graph::canonical_domain(node.domain()).empty() && node.op_type() == op_type;
}

bool is_linear(const onnx::NodeProto& node) {
  return is_op(node, "QuantizeLinear") || is_op(node, "DequantizeLinear");
}

// How a value depends on the samples.
struct Part {
  enum class Kind { kFixed, kSizes, kSamples };  // not at all; as numbers of `sizes` do; axis 0 is theirs
  Kind kind = Kind::kFixed;
  Sizes sizes;
};

class SampleAxis {
 public:
  explicit SampleAxis(const SampleGraph& context) : context_(context), graph_(*context.graph) {}

  bool holds() {
    for (const onnx::ValueInfoProto& input : graph_.input()) {
      if (context_.is_constant(input.name())) continue;
      const auto shape = shape_of(input.name());
      if (!shape || shape->empty() || shape->front() >= 0) return false;
      parts_[input.name()] = {.kind = Part::Kind::kSamples, .sizes = {}};
    }
    for (const onnx::NodeProto& node : graph_.node()) {
      if (!visit(node)) return false;
    }
    return std::all_of(graph_.output().begin(), graph_.output().end(), [&](const onnx::ValueInfoProto& output) {
      return is_samples(output.name()) && has_whole_bytes(output.name());
    });
  }

 private:
  using Rule = bool (SampleAxis::*)(const onnx::NodeProto& node) const;
  struct Row {
    std::string_view op_type;
    Rule rule;
  };
  static Rule find_rule(const onnx::NodeProto& node);

  std::optional<Shape> shape_of(const std::string& value) const { return context_.shape(value); }
  std::optional<int64_t> rank_of(const std::string& value) const {
    const auto shape = shape_of(value);
    return shape ? std::optional(static_cast<int64_t>(shape->size())) : std::nullopt;
  }
  const Part* part_of(const std::string& value) const {
    const auto found = parts_.find(value);
    return found == parts_.end() ? nullptr : &found->second;
  }
  bool is_samples(const std::string& value) const {
    const Part* part = part_of(value);
    return part != nullptr && part->kind == Part::Kind::kSamples;
  }
  // What no node of the graph makes is constant, or captured, and then there is no batch.
  bool is_fixed(const std::string& value) const {
    const Part* part = part_of(value);
    if (part == nullptr || part->kind == Part::Kind::kFixed) return true;
    return part->kind == Part::Kind::kSizes && std::none_of(part->sizes.begin(), part->sizes.end(), [](const Size& s) {
             return s.kind == Size::Kind::kSamples;
           });
  }
  bool others_fixed(const onnx::NodeProto& node, int from = 1) const {
    return std::all_of(node.input().begin() + std::min(from, node.input_size()), node.input().end(),
                       [&](const std::string& input) { return is_fixed(input); });
  }

  std::optional<Sizes> sizes_of(const std::string& value) const {
    if (const Part* part = part_of(value); part != nullptr) {
      if (part->kind == Part::Kind::kSizes) return part->sizes;
      if (part->kind == Part::Kind::kSamples) return std::nullopt;
    }
    const auto numbers = integers(value);
    if (!numbers) return std::nullopt;
    Sizes sizes;
    for (const int64_t number : *numbers) sizes.push_back(Size::of(number));
    return sizes;
  }

  // Parts of such values can be laid one behind the other.
  bool has_whole_bytes(const std::string& value) const {
    const DataType type = context_.index->type(value).type;
    return type != DataType::kString && type != DataType::kUndefined && data_type_bits(type) >= 8;
  }

  // Of a constant vector or scalar.
  std::optional<std::vector<int64_t>> integers(const std::string& value) const {
    if (context_.index->type(value).type == DataType::kFloat32) return std::nullopt;  // weights, not to be read
    const Tensor* constant = context_.constant(value);
    if (constant == nullptr || constant->rank() > 1) return std::nullopt;
    if (constant->type() == DataType::kInt64) {
      const auto data = constant->data<int64_t>();
      return std::vector<int64_t>(data.begin(), data.end());
    }
    if (constant->type() != DataType::kInt32) return std::nullopt;
    const auto data = constant->data<int32_t>();
    return std::vector<int64_t>(data.begin(), data.end());
  }

  bool visit(const onnx::NodeProto& node) {
    Part part;
    const std::vector<std::string> reads = graph::reads_of(node);
    const bool fixed = std::all_of(reads.begin(), reads.end(),
                                   [&](const std::string& value) { return value.empty() || is_fixed(value); });
    if (auto sizes = sizes_made(node)) {
      part = {.kind = Part::Kind::kSizes, .sizes = *std::move(sizes)};
    } else if (!fixed) {
      const Rule rule = find_rule(node);
      const bool one_output = node.output_size() == 1 || node.op_type() == "Split";
      if (rule == nullptr || !one_output || !(this->*rule)(node)) return false;
      part.kind = Part::Kind::kSamples;
    }
    for (const std::string& output : node.output()) {
      if (!output.empty()) parts_[output] = part;
    }
    return true;
  }

  std::optional<Sizes> sizes_made(const onnx::NodeProto& node) const {
    const auto rank = rank_of(node.output(0));
    if (!rank || *rank > 1) return std::nullopt;  // sizes are a list
    if (!is_op(node, "Shape")) {
      return graph::canonical_domain(node.domain()).empty() && !all_constant(node)
                 ? compute_sizes(node, [this](const std::string& value) { return sizes_of(value); })
                 : std::nullopt;
    }
    const bool whole = graph::find_attribute(node, "start") == nullptr && graph::find_attribute(node, "end") == nullptr;
    if (const auto inner = sizes_of(node.input(0)); inner && rank_of(node.input(0)) == 1) {
      return Sizes{Size::of(static_cast<int64_t>(inner->size()))};
    }
    const auto shape = shape_of(node.input(0));
    if (!whole || !shape || (!is_samples(node.input(0)) && !is_fixed(node.input(0)))) return std::nullopt;
    Sizes sizes;
    for (const int64_t dimension : *shape) sizes.push_back(dimension < 0 ? Size{} : Size::of(dimension));
    if (is_samples(node.input(0)) && !sizes.empty()) sizes.front() = Size::samples();
    return sizes;
  }
  bool all_constant(const onnx::NodeProto& node) const {
    return std::all_of(node.input().begin(), node.input().end(),
                       [&](const std::string& input) { return part_of(input) == nullptr; });
  }
  // A shape [samples, ...].
  static bool leads_with_samples(const Sizes& sizes) {
    return !sizes.empty() && sizes.front().kind == Size::Kind::kSamples && rest_is_fixed(sizes);
  }
  static bool rest_is_fixed(const Sizes& sizes) {
    return std::none_of(sizes.begin() + 1, sizes.end(), [](const Size& s) { return s.kind == Size::Kind::kSamples; });
  }

  // Rules: true if axis 0 of the outputs is that of the samples, given that not all inputs are fixed.

  // Beside a tensor of samples of this rank, `value` is repeated for each of them.
  bool repeats(const std::string& value, int64_t rank) const {
    const auto shape = shape_of(value);
    if (!is_fixed(value) || !shape) return false;
    const auto own = static_cast<int64_t>(shape->size());
    return own < rank || (own == rank && (own == 0 || leads_with_one(value)));
  }

  // Where shape inference gives up: on a Slice that ends at a computed place, and so behind it.
  bool leads_with_one(const std::string& value) const {
    const auto shape = shape_of(value);
    if (shape && !shape->empty() && shape->front() >= 0) return shape->front() == 1;
    const onnx::NodeProto* producer = context_.index->producer(value);
    if (producer == nullptr || !shape || shape->empty()) return false;
    if (is_linear(*producer)) return leads_with_one(producer->input(0));
    if (is_op(*producer, "Gather")) {
      return graph::int_attribute(*producer, "axis", 0) == 0 && rank_of(producer->input(1)) > 0 &&
             leads_with_one(producer->input(1));
    }
    if (!is_op(*producer, "Slice") || producer->input_size() < 4) return false;
    const auto axes = integers(producer->input(3));
    const auto rank = rank_of(producer->input(0));
    return axes && std::all_of(axes->begin(), axes->end(), [&](int64_t axis) { return is_inner(axis, rank); }) &&
           leads_with_one(producer->input(0));
  }

  bool each_element(const onnx::NodeProto& node) const {
    int64_t rank = 0;
    for (const std::string& input : node.input()) {
      if (!is_samples(input)) continue;
      const auto own = rank_of(input);
      if (!own || *own == 0 || (rank != 0 && *own != rank)) return false;
      rank = *own;
    }
    return rank > 0 && std::all_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
             return input.empty() || is_samples(input) || repeats(input, rank);
           });
  }

  bool linear(const onnx::NodeProto& node) const {
    const auto rank = rank_of(node.input(0));
    if (!rank || !is_samples(node.input(0)) || !others_fixed(node)) return false;
    const Tensor* scale = context_.constant(node.input(1));
    if (scale == nullptr || graph::int_attribute(node, "block_size", 0) != 0) return false;
    return scale->size() == 1 || is_inner(graph::int_attribute(node, "axis", 1), rank);
  }

  bool batch_normalization(const onnx::NodeProto& node) const {
    return first_input(node) && graph::int_attribute(node, "training_mode", 0) == 0;
  }

  bool first_input(const onnx::NodeProto& node) const { return is_samples(node.input(0)) && others_fixed(node); }

  // `axis` may be negative; of a tensor of `rank`.
  static bool is_inner(int64_t axis, std::optional<int64_t> rank) { return rank && axis != 0 && axis != -*rank; }

  bool inner_axis(const onnx::NodeProto& node) const {
    const bool normalizes = node.op_type() == "LayerNormalization";
    const bool last = normalizes || node.op_type() == "Softmax" || node.op_type() == "LogSoftmax";
    const bool rest = !normalizes && context_.opset(node) < 13;  // all axes from this on were one
    const int64_t axis = graph::int_attribute(node, "axis", !last ? 0 : rest ? 1 : -1);
    const bool apart = node.op_type() == "Concat"
                           ? std::all_of(node.input().begin(), node.input().end(),
                                         [&](const std::string& input) { return is_samples(input); })
                           : first_input(node);
    return apart && is_inner(axis, rank_of(node.input(0)));
  }

  bool gather(const onnx::NodeProto& node) const {
    const bool looks_up = is_fixed(node.input(0)) && is_samples(node.input(1));
    return looks_up ? graph::int_attribute(node, "axis", 0) == 0 : inner_axis(node);
  }

  bool flatten(const onnx::NodeProto& node) const {
    return first_input(node) && graph::int_attribute(node, "axis", 1) == 1;
  }

  bool transpose(const onnx::NodeProto& node) const {
    const auto order = graph::ints_attribute(node, "perm");
    return first_input(node) && !order.empty() && order.front() == 0;
  }

  // Axes as attribute or input `position`; of tensors of `rank`.
  bool inner_axes(const onnx::NodeProto& node, int position, std::optional<int64_t> rank) const {
    std::optional<std::vector<int64_t>> axes = graph::ints_attribute(node, "axes");
    if (node.input_size() > position && !node.input(position).empty()) axes = integers(node.input(position));
    return first_input(node) && axes && !axes->empty() &&
           std::all_of(axes->begin(), axes->end(), [&](int64_t axis) { return is_inner(axis, rank); });
  }
  bool reduce(const onnx::NodeProto& node) const { return inner_axes(node, 1, rank_of(node.input(0))); }
  bool unsqueeze(const onnx::NodeProto& node) const { return inner_axes(node, 1, rank_of(node.output(0))); }
  bool slice(const onnx::NodeProto& node) const { return inner_axes(node, 3, rank_of(node.input(0))); }

  bool pad(const onnx::NodeProto& node) const {
    const bool with_axes = node.input_size() > 3 && !node.input(3).empty();
    const auto amounts = node.input_size() > 1 ? integers(node.input(1)) : graph::ints_attribute(node, "pads");
    return first_input(node) && !with_axes && amounts && !amounts->empty() && amounts->front() == 0 &&
           (*amounts)[amounts->size() / 2] == 0;
  }

  bool resize(const onnx::NodeProto& node) const {
    if (!is_samples(node.input(0)) || node.input_size() < 3) return false;
    if (graph::find_attribute(node, "axes") != nullptr) return false;
    if (const Tensor* scales = context_.constant(node.input(2)); scales != nullptr && scales->size() > 0) {
      return scales->type() == DataType::kFloat32 && scales->data<float>()[0] == 1.0F;
    }
    const auto sizes = node.input_size() > 3 ? sizes_of(node.input(3)) : std::nullopt;
    return sizes && leads_with_samples(*sizes);
  }

  // Rows are kept whole where the first axis stays.
  bool reshape(const onnx::NodeProto& node) const {
    const auto wanted = sizes_of(node.input(1));
    const auto shape = shape_of(node.input(0));
    if (!is_samples(node.input(0)) || !wanted || wanted->empty()) return false;
    if (graph::int_attribute(node, "allowzero", 0) != 0) return false;
    if (leads_with_samples(*wanted) || (wanted->front().is(0) && rest_is_fixed(*wanted))) return true;
    if (!wanted->front().is(-1) || !shape) return false;
    int64_t of_sample = 1;
    int64_t of_row = 1;
    for (size_t i = 1; i < shape->size(); ++i) of_sample *= (*shape)[i] < 0 ? 0 : (*shape)[i];
    for (size_t i = 1; i < wanted->size(); ++i) of_row *= std::max<int64_t>((*wanted)[i].number, 0);
    return of_sample > 0 && of_sample == of_row;
  }

  bool expand(const onnx::NodeProto& node) const {
    const auto wanted = sizes_of(node.input(1));
    if (!wanted || wanted->empty()) return false;
    const auto rank = static_cast<int64_t>(wanted->size());
    const bool to_samples = leads_with_samples(*wanted);
    const bool stays = wanted->front().is(1) && rest_is_fixed(*wanted);
    if (is_samples(node.input(0))) return rank_of(node.input(0)) == rank && (to_samples || stays);
    return to_samples && repeats(node.input(0), rank);
  }

  bool fill(const onnx::NodeProto& node) const {
    const auto wanted = sizes_of(node.input(0));
    return wanted && leads_with_samples(*wanted);
  }

  bool matmul(const onnx::NodeProto& node) const {
    const auto a = rank_of(node.input(0));
    const auto b = rank_of(node.input(1));
    if (!a || !b || !others_fixed(node, 2)) return false;
    const bool first = is_samples(node.input(0));
    const bool second = is_samples(node.input(1));
    if (first && second) return *a == *b && *a >= 3;
    if (first) return *a >= 2 && (*b <= 2 || repeats(node.input(1), *a));
    return *b >= 3 && repeats(node.input(0), *b);
  }

  bool gemm(const onnx::NodeProto& node) const {
    const bool bias = node.input_size() < 3 || node.input(2).empty() || repeats(node.input(2), 2);
    return first_input(node) && graph::int_attribute(node, "transA", 0) == 0 && bias;
  }

  const SampleGraph& context_;
  const onnx::GraphProto& graph_;
  std::unordered_map<std::string, Part> parts_;
};

SampleAxis::Rule SampleAxis::find_rule(const onnx::NodeProto& node) {
  // Sorted by name.
  static constexpr Row kRows[] = {
      {"Abs", &SampleAxis::each_element},
      {"Add", &SampleAxis::each_element},
      {"And", &SampleAxis::each_element},
      {"AveragePool", &SampleAxis::first_input},
      {"BatchNormalization", &SampleAxis::batch_normalization},
      {"Cast", &SampleAxis::each_element},
      {"Celu", &SampleAxis::each_element},
      {"Clip", &SampleAxis::each_element},
      {"Concat", &SampleAxis::inner_axis},
      {"ConstantOfShape", &SampleAxis::fill},
      {"Conv", &SampleAxis::first_input},
      {"ConvTranspose", &SampleAxis::first_input},
      {"DepthToSpace", &SampleAxis::first_input},
      {"DequantizeLinear", &SampleAxis::linear},
      {"Div", &SampleAxis::each_element},
      {"Elu", &SampleAxis::each_element},
      {"Equal", &SampleAxis::each_element},
      {"Erf", &SampleAxis::each_element},
      {"Exp", &SampleAxis::each_element},
      {"Expand", &SampleAxis::expand},
      {"Flatten", &SampleAxis::flatten},
      {"Gather", &SampleAxis::gather},
      {"Gelu", &SampleAxis::each_element},
      {"Gemm", &SampleAxis::gemm},
      {"GlobalAveragePool", &SampleAxis::first_input},
      {"GlobalMaxPool", &SampleAxis::first_input},
      {"Greater", &SampleAxis::each_element},
      {"HardSigmoid", &SampleAxis::each_element},
      {"HardSwish", &SampleAxis::each_element},
      {"Identity", &SampleAxis::each_element},
      {"LRN", &SampleAxis::first_input},
      {"LayerNormalization", &SampleAxis::inner_axis},
      {"LeakyRelu", &SampleAxis::each_element},
      {"Less", &SampleAxis::each_element},
      {"Log", &SampleAxis::each_element},
      {"LogSoftmax", &SampleAxis::inner_axis},
      {"MatMul", &SampleAxis::matmul},
      {"Max", &SampleAxis::each_element},
      {"MaxPool", &SampleAxis::first_input},
      {"Min", &SampleAxis::each_element},
      {"Mish", &SampleAxis::each_element},
      {"Mul", &SampleAxis::each_element},
      {"Neg", &SampleAxis::each_element},
      {"Not", &SampleAxis::each_element},
      {"Or", &SampleAxis::each_element},
      {"PRelu", &SampleAxis::each_element},
      {"Pad", &SampleAxis::pad},
      {"Pow", &SampleAxis::each_element},
      {"QuantizeLinear", &SampleAxis::linear},
      {"Reciprocal", &SampleAxis::each_element},
      {"ReduceL2", &SampleAxis::reduce},
      {"ReduceMax", &SampleAxis::reduce},
      {"ReduceMean", &SampleAxis::reduce},
      {"ReduceMin", &SampleAxis::reduce},
      {"ReduceSum", &SampleAxis::reduce},
      {"Relu", &SampleAxis::each_element},
      {"Reshape", &SampleAxis::reshape},
      {"Resize", &SampleAxis::resize},
      {"Selu", &SampleAxis::each_element},
      {"Sigmoid", &SampleAxis::each_element},
      {"Slice", &SampleAxis::slice},
      {"Softmax", &SampleAxis::inner_axis},
      {"Softplus", &SampleAxis::each_element},
      {"Softsign", &SampleAxis::each_element},
      {"SpaceToDepth", &SampleAxis::first_input},
      {"Split", &SampleAxis::inner_axis},
      {"Sqrt", &SampleAxis::each_element},
      {"Squeeze", &SampleAxis::reduce},
      {"Sub", &SampleAxis::each_element},
      {"Tanh", &SampleAxis::each_element},
      {"ThresholdedRelu", &SampleAxis::each_element},
      {"Transpose", &SampleAxis::transpose},
      {"Unsqueeze", &SampleAxis::unsqueeze},
      {"Where", &SampleAxis::each_element},
  };
  if (!graph::canonical_domain(node.domain()).empty()) return nullptr;
  const auto* row = std::lower_bound(std::begin(kRows), std::end(kRows), std::string_view(node.op_type()),
                                     [](const Row& a, std::string_view b) { return a.op_type < b; });
  return row != std::end(kRows) && row->op_type == node.op_type() ? row->rule : nullptr;
}

}  // namespace

bool treats_samples_apart(const SampleGraph& context) {
  return SampleAxis(context).holds();
}

bool fills_caches(const SampleGraph& graph) {
  constexpr int64_t kLarge = 256 * 1024;  // a quarter of a core's second cache
  int64_t convolutions = 0;
  int64_t matrices = 0;
  bool large = false;
  for (const onnx::NodeProto& node : graph.graph->node()) {
    if (is_op(node, "MatMul") || is_op(node, "Gemm") || is_op(node, "MatMulInteger")) ++matrices;
    if (!is_op(node, "Conv") && !is_op(node, "ConvInteger")) continue;
    ++convolutions;
    const auto shape = graph.shape(node.output(0));
    int64_t bytes = graph.element_bytes;
    for (size_t axis = 1; shape && axis < shape->size(); ++axis) bytes *= std::max<int64_t>((*shape)[axis], 0);
    // An image of any size may be a large one.
    large = large || !shape || bytes == 0 || bytes >= kLarge;
  }
  return large && convolutions > matrices;
}

}  // namespace narrow::exec
