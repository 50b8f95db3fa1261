#include "tests/exec/random_graph.h"

#include <array>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "lib/base/error.h"
#include "lib/exec/constants.h"
#include "lib/graph/attributes.h"
#include "lib/graph/traverse.h"
#include "lib/tensor/convert.h"

namespace narrow::exec {
namespace {

constexpr int kOpset = 17;
constexpr int64_t kLargestSize = 4000;
constexpr const char* kScales = "scales";  // of a Resize, which are float32 whatever it resizes

void set_string(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

struct Value {
  std::string name;
  Shape shape;
  bool computed = false;
};

class Builder {
 public:
  explicit Builder(uint32_t seed) : engine_(seed), model_(empty_model()) {}

  RandomGraph build() {
    const int64_t wanted = integer(2, 9);
    for (int tries = 0; tries < 60 && model_.graph().node_size() < wanted; ++tries) add_layer();
    declare_outputs();
    return {std::move(model_), std::move(feed_)};
  }

 private:
  static graph::Model empty_model() {
    onnx::ModelProto proto;
    proto.set_ir_version(8);
    proto.add_opset_import()->set_version(kOpset);
    proto.mutable_graph()->set_name("random");
    return graph::Model(std::move(proto));
  }

  // Choices. The engine's numbers are the standard's; its distributions are each library's own.
  int64_t integer(int64_t low, int64_t high) { return low + static_cast<int64_t>(engine_()) % (high - low + 1); }
  bool chance(int percent) { return integer(0, 99) < percent; }
  template <size_t N>
  std::string pick(const std::array<const char*, N>& names) {
    return names[static_cast<size_t>(integer(0, static_cast<int64_t>(N) - 1))];
  }

  Tensor numbers(const Shape& shape) {
    Tensor tensor(DataType::kFloat32, shape);
    for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(integer(-1000, 1000)) / 500.0F;
    return tensor;
  }

  // Values.
  std::string constant(const Tensor& tensor, const std::string& prefix = "c") {
    const std::string name = prefix + std::to_string(next_++);
    *model_.mutable_graph().add_initializer() = graph::tensor_proto(name, tensor);
    known_[name] = tensor;
    return name;
  }
  std::string floats(const Shape& shape) { return constant(numbers(shape)); }
  std::string integers(const std::vector<int64_t>& values) {
    return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, std::span<const int64_t>(values)));
  }

  Value input(const Shape& shape) {
    Value value{.name = "x" + std::to_string(next_++), .shape = shape};
    onnx::ValueInfoProto& info = *model_.mutable_graph().add_input();
    info.set_name(value.name);
    auto& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    for (const int64_t size : shape) {
      auto& dimension = *type.mutable_shape()->add_dim();
      if (!chance(30)) dimension.set_dim_value(size);
    }
    type.mutable_shape();
    known_[value.name] = feed_[value.name] = numbers(shape);
    values_.push_back(value);
    return value;
  }

  // A late value of the rank, so that graphs get deep, or a new one. Of rank 0: of any but that.
  Value take(size_t rank) {
    std::vector<Value> fitting;
    for (const Value& value : values_) {
      const bool empty = element_count(value.shape) == 0;
      if ((rank == 0 ? !value.shape.empty() : value.shape.size() == rank) &&
          element_count(value.shape) < kLargestSize && (!empty || rank == 0)) {
        fitting.push_back(value);
      }
    }
    if (!fitting.empty() && chance(80)) {
      return fitting[fitting.size() - 1 -
                     static_cast<size_t>(integer(0, std::min<int64_t>(2, static_cast<int64_t>(fitting.size()) - 1)))];
    }
    Shape shape{integer(1, 3)};
    const size_t wanted = rank == 0 ? static_cast<size_t>(integer(1, 5)) : rank;
    while (shape.size() < wanted) shape.push_back(shape.size() == 1 ? integer(1, 4) * integer(1, 4) : integer(2, 7));
    if (rank == 0 && chance(4)) shape[static_cast<size_t>(integer(0, static_cast<int64_t>(wanted) - 1))] = 0;
    return input(shape);
  }

  onnx::NodeProto node(const std::string& op, const std::vector<std::string>& inputs) {
    onnx::NodeProto made;
    made.set_op_type(op);
    made.set_name("n" + std::to_string(next_++));
    for (const std::string& name : inputs) made.add_input(name);
    return made;
  }

  // The results of one node, from what is known of its inputs.
  std::vector<Tensor> run_alone(const onnx::NodeProto& made) const {
    graph::Model alone = empty_model();
    onnx::GraphProto& graph = alone.mutable_graph();
    *graph.add_node() = made;
    for (const std::string& name : made.output()) graph.add_output()->set_name(name);
    Feed feed;
    for (const std::string& name : graph::reads_of(made)) {
      if (name.empty() || feed.contains(name)) continue;
      graph.add_input()->set_name(name);
      feed[name] = known_.at(name);
    }
    Workspace workspace;
    return compile_float(alone, {.fuse = false}).run(feed, workspace);
  }

  std::vector<Value> add(onnx::NodeProto made, int outputs = 1) {
    for (int i = 0; i < outputs; ++i) made.add_output("v" + std::to_string(next_++));
    const std::vector<Tensor> results = run_alone(made);
    std::vector<Value> values;
    for (int i = 0; i < outputs; ++i) {
      const Tensor& result = results[static_cast<size_t>(i)];
      for (const float x : result.data<float>()) {
        if (!(std::abs(x) < 1e4F)) throw Error(ErrorKind::kModel, "too large to compare");
      }
      known_[made.output(i)] = result;
      values.push_back({.name = made.output(i), .shape = result.shape(), .computed = true});
    }
    values_.insert(values_.end(), values.begin(), values.end());
    *model_.mutable_graph().add_node() = std::move(made);
    return values;
  }
  Value add_one(onnx::NodeProto made) { return add(std::move(made))[0]; }

  // A layer that does not fit what it was given is no layer.
  void add_layer() {
    constexpr std::array kMakers{
        &Builder::convolution, &Builder::convolution, &Builder::convolution, &Builder::pool,   &Builder::product,
        &Builder::gemm,        &Builder::unary,       &Builder::unary,       &Builder::binary, &Builder::binary,
        &Builder::reduction,   &Builder::transpose,   &Builder::reshape,     &Builder::concat, &Builder::slice,
        &Builder::pad,         &Builder::softmax,     &Builder::resize,      &Builder::branch, &Builder::loop};
    const RandomGraph before{model_, feed_};
    const std::vector<Value> values = values_;
    const auto maker = kMakers[static_cast<size_t>(integer(0, static_cast<int64_t>(kMakers.size()) - 1))];
    try {
      (this->*maker)();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInternal) throw;
      model_ = before.model;
      feed_ = before.feed;
      values_ = values;
    }
  }

  Value image() { return take(static_cast<size_t>(integer(3, 5))); }

  void set_window(onnx::NodeProto& made, const Shape& shape) {
    std::vector<int64_t> kernel;
    std::vector<int64_t> strides;
    std::vector<int64_t> pads;
    for (size_t axis = 2; axis < shape.size(); ++axis) {
      kernel.push_back(integer(1, std::min<int64_t>(3, shape[axis])));
      strides.push_back(integer(1, 2));
    }
    for (int i = 0; i < 2; ++i) {
      for (const int64_t side : kernel) pads.push_back(integer(0, side - 1));
    }
    graph::set_ints_attribute(made, "kernel_shape", kernel);
    graph::set_ints_attribute(made, "strides", strides);
    if (chance(60)) graph::set_ints_attribute(made, "pads", pads);
  }

  void convolution() {
    const Value x = image();
    const int64_t channels = x.shape[1];
    const int64_t groups = chance(25) ? channels : 1;
    onnx::NodeProto made = node("Conv", {x.name});
    set_window(made, x.shape);
    Shape weight{groups * integer(1, groups > 1 ? 2 : 9), channels / groups};
    for (const int64_t side : graph::ints_attribute(made, "kernel_shape")) weight.push_back(side);
    made.add_input(floats(weight));
    if (chance(60)) made.add_input(floats({weight[0]}));
    graph::set_int_attribute(made, "group", groups);
    epilogue(add_one(std::move(made)));
  }

  // What fuses: BatchNormalization, the sum with another value, a clamp.
  void epilogue(Value value) {
    const int64_t channels = value.shape[1];
    if (chance(30)) {
      Tensor variance = numbers({channels});
      for (float& v : variance.mutable_data<float>()) v = std::abs(v) + 0.2F;
      value = add_one(node("BatchNormalization", {value.name, floats({channels}), floats({channels}),
                                                  floats({channels}), constant(variance)}));
    }
    if (chance(30)) {
      std::string other = chance(30) ? floats({channels, 1, 1}) : input(value.shape).name;
      for (const Value& known : values_) {
        if (known.shape == value.shape && known.name != value.name && chance(50)) other = known.name;
      }
      value = add_one(node("Add", chance(50) ? std::vector{value.name, other} : std::vector{other, value.name}));
    }
    if (chance(30)) add(node("Relu", {value.name}));
    if (chance(15)) add(node("Clip", {value.name, constant(Tensor::scalar(-0.5F)), constant(Tensor::scalar(1.5F))}));
  }

  void pool() {
    const Value x = image();
    onnx::NodeProto made = node(pick(std::array{"MaxPool", "AveragePool", "GlobalAveragePool"}), {x.name});
    if (made.op_type() != "GlobalAveragePool") {
      set_window(made, x.shape);
      graph::set_int_attribute(made, "ceil_mode", chance(30) ? 1 : 0);
    }
    add(std::move(made));
  }

  void product() {
    const Value x = take(0);
    const Value y = add_one(node("MatMul", {x.name, floats({x.shape.back(), integer(1, 9)})}));
    if (chance(50)) add(node("Add", {y.name, floats({y.shape.back()})}));
  }

  void gemm() {
    const Value x = take(2);
    const int64_t columns = integer(1, 9);
    const bool transposed = chance(50);
    const int64_t depth = x.shape[1];
    onnx::NodeProto made = node("Gemm", {x.name, floats(transposed ? Shape{columns, depth} : Shape{depth, columns})});
    graph::set_int_attribute(made, "transB", transposed ? 1 : 0);
    if (chance(60)) made.add_input(floats(chance(50) ? Shape{columns} : Shape{x.shape[0], 1}));
    const Value y = add_one(std::move(made));
    if (chance(50)) add(node("Relu", {y.name}));
  }

  void unary() {
    add(node(pick(std::array{"Relu", "Sigmoid", "Tanh", "Neg", "Abs", "HardSwish", "Erf", "Softplus", "LeakyRelu"}),
             {take(0).name}));
  }

  void binary() {
    const Value a = take(0);
    Shape shape = a.shape;
    for (int64_t& size : shape) size = chance(25) ? 1 : size;
    shape.erase(shape.begin(), shape.begin() + integer(0, chance(30) ? static_cast<int64_t>(shape.size()) : 0));
    if (chance(15)) shape.insert(shape.begin(), static_cast<size_t>(a.shape.size() < 5 ? 1 : 0), 2);
    std::string other = chance(50) ? floats(shape) : input(shape).name;
    if (chance(30)) other = take(a.shape.size()).name;
    const std::string op = pick(std::array{"Add", "Sub", "Mul", "Max", "Min"});
    add(node(op, chance(50) ? std::vector{a.name, other} : std::vector{other, a.name}));
  }

  void reduction() {
    const Value x = take(0);
    onnx::NodeProto made = node(pick(std::array{"ReduceMean", "ReduceMax", "ReduceL2"}), {x.name});
    const auto rank = static_cast<int64_t>(x.shape.size());
    graph::set_ints_attribute(made, "axes", {integer(-rank, rank - 1)});
    graph::set_int_attribute(made, "keepdims", integer(0, 1));
    add(std::move(made));
  }

  void transpose() {
    const Value x = take(0);
    std::vector<int64_t> order;
    while (order.size() < x.shape.size()) {
      order.insert(order.begin() + integer(0, static_cast<int64_t>(order.size())), static_cast<int64_t>(order.size()));
    }
    onnx::NodeProto made = node("Transpose", {x.name});
    graph::set_ints_attribute(made, "perm", order);
    add(std::move(made));
  }

  void reshape() {
    const Value x = take(0);
    std::vector<int64_t> shape(static_cast<size_t>(integer(1, 4)), 1);
    shape[static_cast<size_t>(integer(0, static_cast<int64_t>(shape.size()) - 1))] = -1;
    if (x.shape.size() >= shape.size() && shape[0] != -1) shape[0] = 0;
    add(node("Reshape", {x.name, integers(shape)}));
  }

  void concat() {
    const Value x = take(0);
    const auto axis = integer(0, static_cast<int64_t>(x.shape.size()) - 1);
    Shape shape = x.shape;
    shape[static_cast<size_t>(axis)] = integer(1, 4);
    const std::string other = chance(50) ? floats(shape) : input(shape).name;
    onnx::NodeProto made = node("Concat", chance(50) ? std::vector{x.name, other} : std::vector{other, x.name, other});
    graph::set_int_attribute(made, "axis", chance(50) ? axis : axis - static_cast<int64_t>(x.shape.size()));
    add(std::move(made));
  }

  void slice() {
    const Value x = take(0);
    const auto axis = integer(0, static_cast<int64_t>(x.shape.size()) - 1);
    const bool back = chance(30);
    add(node("Slice", {x.name, integers({back ? -1 : integer(0, 2)}), integers({back ? -100 : integer(-1, 100)}),
                       integers({axis}), integers({back ? -1 : integer(1, 2)})}));
  }

  void pad() {
    const Value x = take(0);
    std::vector<int64_t> pads;
    for (size_t i = 0; i < 2 * x.shape.size(); ++i) pads.push_back(integer(0, 2));
    onnx::NodeProto made = node("Pad", {x.name, integers(pads)});
    set_string(made, "mode", pick(std::array{"constant", "edge"}));
    add(std::move(made));
  }

  void softmax() {
    const Value x = take(0);
    onnx::NodeProto made = node("Softmax", {x.name});
    graph::set_int_attribute(made, "axis", integer(-1, static_cast<int64_t>(x.shape.size()) - 1));
    add(std::move(made));
  }

  void resize() {
    const Value x = take(4);
    Tensor scales = Tensor::of<float>({4}, {1, 1, 2, chance(50) ? 2.0F : 1.5F});
    onnx::NodeProto made = node("Resize", {x.name, "", constant(scales, kScales)});
    set_string(made, "mode", pick(std::array{"nearest", "linear"}));
    set_string(made, "coordinate_transformation_mode", "asymmetric");
    set_string(made, "nearest_mode", "floor");
    add(std::move(made));
  }

  // A body: name -> Tanh (name * c) [+ x].
  onnx::GraphProto body(const std::string& name, const Value& x, const std::string& result) {
    onnx::GraphProto graph;
    graph.set_name("body");
    const std::string middle = result + "_scaled";
    *graph.add_initializer() = graph::tensor_proto(result + "_c", numbers({x.shape.back()}));
    *graph.add_node() = node("Mul", {name, result + "_c"});
    graph.mutable_node(0)->add_output(middle);
    const bool sum = chance(50);
    if (sum) {
      *graph.add_node() = node("Add", {middle, x.name});
      graph.mutable_node(1)->add_output(result + "_sum");
    }
    *graph.add_node() = node("Tanh", {sum ? result + "_sum" : middle});
    graph.mutable_node(graph.node_size() - 1)->add_output(result);
    graph.add_output()->set_name(result);
    return graph;
  }

  void branch() {
    const Value x = take(static_cast<size_t>(integer(1, 4)));
    onnx::NodeProto made = node("If", {constant(Tensor::scalar(chance(50)))});
    for (const char* name : {"then_branch", "else_branch"}) {
      onnx::AttributeProto& attribute = *made.add_attribute();
      attribute.set_name(name);
      attribute.set_type(onnx::AttributeProto::GRAPH);
      *attribute.mutable_g() = body(x.name, x, "b" + std::to_string(next_++));
    }
    add(std::move(made));
  }

  void loop() {
    const Value x = take(static_cast<size_t>(integer(1, 4)));
    onnx::NodeProto made = node("Loop", {constant(Tensor::scalar(integer(0, 3))), "", x.name});
    const std::string prefix = "b" + std::to_string(next_++);
    onnx::GraphProto graph = body(prefix + "_carried", x, prefix);
    *graph.add_node() = node("Identity", {prefix + "_condition"});
    graph.mutable_node(graph.node_size() - 1)->add_output(prefix + "_again");
    for (const char* name : {"_step", "_condition", "_carried"}) graph.add_input()->set_name(prefix + name);
    graph.clear_output();
    graph.add_output()->set_name(prefix + "_again");
    graph.add_output()->set_name(prefix);
    onnx::AttributeProto& attribute = *made.add_attribute();
    attribute.set_name("body");
    attribute.set_type(onnx::AttributeProto::GRAPH);
    *attribute.mutable_g() = std::move(graph);
    add(std::move(made));
  }

  void declare_outputs() {
    onnx::GraphProto& graph = model_.mutable_graph();
    std::set<std::string> read;
    for (const onnx::NodeProto& made : graph.node()) {
      for (const std::string& name : graph::reads_of(made)) read.insert(name);
    }
    for (const Value& value : values_) {
      if (value.computed && (!read.contains(value.name) || chance(10))) graph.add_output()->set_name(value.name);
    }
  }

  std::mt19937 engine_;
  graph::Model model_;
  Feed feed_;
  std::map<std::string, Tensor> known_;  // every value
  std::vector<Value> values_;
  int next_ = 0;
};

}  // namespace

namespace {

class Rounding {
 public:
  explicit Rounding(uint32_t seed) : engine_(seed) {}

  Tensor factors(const Shape& shape) {
    Tensor result(DataType::kFloat64, shape);
    for (double& factor : result.mutable_data<double>()) factor = (engine_() & 1U) != 0 ? 1 + 0x1p-24 : 1 - 0x1p-24;
    return result;
  }
  Tensor round(const Tensor& exact) {
    Tensor result = factors(exact.shape());
    const auto values = exact.data<double>();
    const auto rounded = result.mutable_data<double>();
    for (size_t i = 0; i < rounded.size(); ++i) rounded[i] *= values[i];
    return result;
  }

 private:
  std::mt19937 engine_;
};

class ShapesOfValues final : public TensorListener {
 public:
  void on_value(const std::string& value, const Tensor& tensor) override { shapes_[value] = tensor.shape(); }
  const Shape& of(const std::string& value) const { return shapes_.at(value); }

 private:
  std::map<std::string, Shape> shapes_;
};

ShapesOfValues shapes_of_values(const RandomGraph& graph) {
  ShapesOfValues shapes;
  Workspace workspace;
  compile_float(graph.model, node_by_node(graph.model)).run(graph.feed, workspace, {.listener = &shapes});
  return shapes;
}

}  // namespace

RandomGraph random_graph(uint32_t seed) {
  return Builder(seed).build();
}

CompileOptions node_by_node(const graph::Model& model) {
  CompileOptions options{.observed = {}, .fuse = false};
  for (const onnx::NodeProto& node : model.graph().node()) {
    options.observed.insert(options.observed.end(), node.output().begin(), node.output().end());
  }
  return options;
}

RandomGraph in_double(const RandomGraph& graph) {
  RandomGraph result = graph;
  const auto doubles = [](const Tensor& tensor) {
    Workspace workspace;
    return convert_elements(tensor, DataType::kFloat64, workspace);
  };
  graph::for_each_tensor(result.model.mutable_graph(), [&](onnx::TensorProto& proto) {
    if (proto.data_type() != onnx::TensorProto::FLOAT || proto.name().starts_with(kScales)) return;
    proto = graph::tensor_proto(proto.name(), doubles(graph::embedded_tensor(proto)));
  });
  for (onnx::ValueInfoProto& input : *result.model.mutable_graph().mutable_input()) {
    input.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::DOUBLE);
  }
  for (auto& [name, tensor] : result.feed) tensor = doubles(tensor);
  return result;
}

RandomGraph rounded_at_random(const RandomGraph& wide, uint32_t seed) {
  RandomGraph result = wide;
  Rounding rounding(seed);
  for (auto& [name, tensor] : result.feed) tensor = rounding.round(tensor);
  onnx::GraphProto& graph = result.model.mutable_graph();
  for (onnx::TensorProto& proto : *graph.mutable_initializer()) {
    if (proto.data_type() != onnx::TensorProto::DOUBLE) continue;
    proto = graph::tensor_proto(proto.name(), rounding.round(graph::embedded_tensor(proto)));
  }
  const ShapesOfValues shapes = shapes_of_values(wide);
  graph.clear_node();
  for (onnx::NodeProto node : wide.model.graph().node()) {
    onnx::NodeProto& computed = *graph.add_node();
    computed = node;
    for (int i = 0; i < node.output_size(); ++i) {
      const std::string& name = node.output(i);
      computed.set_output(i, name + "_exact");
      *graph.add_initializer() = graph::tensor_proto(name + "_factors", rounding.factors(shapes.of(name)));
      onnx::NodeProto& rounded = *graph.add_node();
      rounded.set_op_type("Mul");
      rounded.add_input(name + "_exact");
      rounded.add_input(name + "_factors");
      rounded.add_output(name);
    }
  }
  return result;
}

}  // namespace narrow::exec
