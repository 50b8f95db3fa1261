#include "lib/recover/scale_path.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"

namespace narrow::recover {
namespace {

using Path = std::vector<ScaledConstant>;

/// f(s x) = s f(x) for s > 0, each element by itself; sorted.
constexpr std::array<std::string_view, 4> kHomogeneous{"Identity", "LeakyRelu", "PRelu", "Relu"};

bool only_asks_for_shape(const onnx::NodeProto& node) {
  return node.op_type() == "Shape" || node.op_type() == "Size";
}

/// Where the channels lie: the last axis, or one axis of heads and one of the channels of a head. From the end.
struct Axes {
  bool split = false;
  int64_t heads = -1;
  int64_t within = -1;

  static Axes divided(int64_t heads, int64_t within) { return {.split = true, .heads = heads, .within = within}; }
};

class PathFinder {
 public:
  PathFinder(const graph::GraphIndex& index, const graph::Model& model, int64_t channels)
      : index_(index), model_(model), channels_(channels) {}

  std::optional<Path> of(const std::string& value, Axes axes, size_t readers) const {
    const onnx::NodeProto* node = index_.producer(value);
    if (node == nullptr || index_.is_output(value) || count_readers(index_, value) != readers) return std::nullopt;
    if (!graph::canonical_domain(node->domain()).empty() || node->output(0) != value) return std::nullopt;
    const std::string& op = node->op_type();
    if (op == "Reshape") return of_reshape(*node, axes);
    if (op == "Transpose") return of_transpose(*node, axes);
    if (op == "MatMul") return of_matmul(*node, axes);
    if (axes.split) return std::nullopt;
    if (op == "Gemm") return of_gemm(*node);
    if (op == "LayerNormalization") return of_layer_normalization(*node);
    if (op == "Add" || op == "Sub") return of_sum(*node);
    if (op == "Mul" || op == "Div") return of_product(*node);
    if (std::binary_search(kHomogeneous.begin(), kHomogeneous.end(), op)) return of(node->input(0), axes, 1);
    return std::nullopt;
  }

 private:
  /// A float32 constant whose axis (from the end) is that of the channels.
  bool has_channels(const std::string& name, int64_t axis) const {
    const onnx::TensorProto* constant = index_.initializer(name);
    if (constant == nullptr || constant->dims_size() < -axis || index_.is_input(name)) return false;
    return static_cast<DataType>(constant->data_type()) == DataType::kFloat32 &&
           constant->dims(static_cast<int>(constant->dims_size() + axis)) == channels_;
  }

  bool is_constant(const std::string& name) const { return index_.initializer(name) != nullptr; }

  bool ends_in_channels(const std::string& value) const {
    const auto shape = index_.type(value).shape;
    return shape && !shape->empty() && shape->back() == channels_;
  }

  std::optional<Path> join(std::optional<Path> path, ScaledConstant constant) const {
    if (path) path->push_back(std::move(constant));
    return path;
  }

  std::optional<Path> of_gemm(const onnx::NodeProto& node) const {
    const int64_t axis = graph::int_attribute(node, "transB", 0) != 0 ? -2 : -1;
    if (!has_channels(node.input(1), axis)) return std::nullopt;
    Path path{{.node = node.name(), .input = 1, .axis = axis}};
    if (node.input_size() < 3 || node.input(2).empty()) return path;
    if (!has_channels(node.input(2), -1)) return std::nullopt;
    return join(path, {.node = node.name(), .input = 2});
  }

  /// A matrix of constants, or the sum over positions of an activation, whose channels are the result's.
  std::optional<Path> of_matmul(const onnx::NodeProto& node, Axes axes) const {
    if (!axes.split && has_channels(node.input(1), -1)) return Path{{.node = node.name(), .input = 1}};
    const bool batched = axes.split && axes.within == -1 && axes.heads < -2;
    if (is_constant(node.input(1)) || (axes.split && !batched)) return std::nullopt;
    return of(node.input(1), axes, 1);
  }

  std::optional<Path> of_layer_normalization(const onnx::NodeProto& node) const {
    const std::optional<Shape> shape = index_.type(node.input(0)).shape;
    const int64_t axis = graph::int_attribute(node, "axis", -1);
    const bool last = axis == -1 || (shape && axis == static_cast<int64_t>(shape->size()) - 1);
    if (!last || !has_channels(node.input(1), -1)) return std::nullopt;
    Path path{{.node = node.name(), .input = 1}};
    if (node.input_size() < 3 || node.input(2).empty()) return path;
    if (!has_channels(node.input(2), -1)) return std::nullopt;
    return join(path, {.node = node.name(), .input = 2});
  }

  std::optional<Path> of_sum(const onnx::NodeProto& node) const {
    for (const int at : {0, 1}) {
      if (!has_channels(node.input(at), -1) || is_constant(node.input(1 - at))) continue;
      return join(of(node.input(1 - at), {}, 1), {.node = node.name(), .input = at});
    }
    return std::nullopt;
  }

  std::optional<Path> of_product(const onnx::NodeProto& node) const {
    const bool divides = node.op_type() == "Div";
    for (const int at : {0, 1}) {
      if (has_channels(node.input(at), -1)) return Path{{.node = node.name(), .input = at, .divides = divides && at}};
    }
    for (const int at : {0, 1}) {
      const std::string& operand = node.input(at);
      if (is_constant(operand) || (divides && at == 1) || !ends_in_channels(operand)) continue;
      if (node.input(0) == node.input(1)) return std::nullopt;
      if (auto path = of(operand, {}, 1)) return path;
    }
    return std::nullopt;
  }

  std::optional<Path> of_transpose(const onnx::NodeProto& node, Axes axes) const {
    const std::vector<int64_t> order = graph::ints_attribute(node, "perm");
    const auto rank = static_cast<int64_t>(order.size());
    if (rank < -axes.heads || rank < -axes.within || rank == 0) return std::nullopt;
    const auto source = [&](int64_t axis) { return order[static_cast<size_t>(rank + axis)] - rank; };
    if (axes.split) return of(node.input(0), Axes::divided(source(axes.heads), source(axes.within)), 1);
    if (source(-1) != -1) return std::nullopt;
    return of(node.input(0), axes, 1);
  }

  /// [..., channels] <-> [..., heads, channels of a head], or a change of the axes in front alone.
  std::optional<Path> of_reshape(const onnx::NodeProto& node, Axes axes) const {
    if (axes.split) {
      const auto [heads, within] = last_two(node);
      const bool whole =
          axes.heads == -2 && axes.within == -1 && heads > 0 && within > 0 && heads * within == channels_;
      return whole && ends_in_channels(node.input(0)) ? of(node.input(0), {}, 1) : std::nullopt;
    }
    if (ends_in_channels(node.input(0))) return of(node.input(0), axes, 1);
    return of(node.input(0), Axes::divided(-2, -1), 1);
  }

  /// The last two sizes that a Reshape asks for; -1 where they are not known.
  std::pair<int64_t, int64_t> last_two(const onnx::NodeProto& node) const {
    std::vector<int64_t> tail = known_tail(node.input(1));
    tail.insert(tail.begin(), 2, -1);
    return {tail[tail.size() - 2], tail.back()};
  }

  std::vector<int64_t> known_tail(const std::string& value) const {
    if (const onnx::TensorProto* constant = index_.initializer(value)) {
      const Tensor tensor = model_.tensor(*constant);
      if (tensor.type() != DataType::kInt64) return {};
      const auto sizes = tensor.data<int64_t>();
      return {sizes.begin(), sizes.end()};
    }
    const onnx::NodeProto* concat = index_.producer(value);
    std::vector<int64_t> tail;
    if (concat == nullptr || concat->op_type() != "Concat") return tail;
    for (const std::string& part : concat->input()) {
      const std::vector<int64_t> sizes = is_constant(part) ? known_tail(part) : std::vector<int64_t>{-1};
      tail.insert(tail.end(), sizes.begin(), sizes.end());
    }
    return tail;
  }

  const graph::GraphIndex& index_;
  const graph::Model& model_;
  int64_t channels_;
};

}  // namespace

std::optional<Path> find_scale_path(const graph::GraphIndex& index, const graph::Model& model, const std::string& value,
                                    int64_t channels, size_t readers) {
  return PathFinder(index, model, channels).of(value, {}, readers);
}

size_t count_readers(const graph::GraphIndex& index, const std::string& value) {
  const auto uses = index.uses(value);
  return static_cast<size_t>(
      std::count_if(uses.begin(), uses.end(), [](const graph::Use& use) { return !only_asks_for_shape(*use.node); }));
}

void ConstantFactors::scale(const ScaledConstant& constant, std::span<const double> factors) {
  const std::string& name = index_.node(constant.node)->input(constant.input);
  const auto [entry, added] = tensors_.try_emplace({constant.node, constant.input});
  Tensor& tensor = entry->second;
  if (added) tensor = model_.tensor(*index_.initializer(name));
  const Shape& shape = tensor.shape();
  const Shape inner(shape.end() + constant.axis + 1, shape.end());
  const auto stride = static_cast<size_t>(element_count(inner));
  const auto values = tensor.mutable_data<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const double factor = factors[i / stride % factors.size()];
    values[i] = static_cast<float>(constant.divides ? values[i] / factor : values[i] * factor);
  }
}

void ConstantFactors::write(graph::Model& copy) const {
  graph::GraphEditor editor(copy);
  std::map<std::string, onnx::NodeProto*> nodes;
  for (onnx::NodeProto& node : *copy.mutable_graph().mutable_node()) nodes[node.name()] = &node;
  for (const auto& [at, tensor] : tensors_) {
    const std::string name = index_.node(at.first)->input(at.second);
    if (index_.uses(name).size() == 1 && !index_.is_output(name)) {
      editor.replace_initializer(name, tensor);
    } else {
      nodes.at(at.first)->set_input(at.second, editor.add_initializer(name, tensor));
    }
  }
  editor.finish();
}

}  // namespace narrow::recover
