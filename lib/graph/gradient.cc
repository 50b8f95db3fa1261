#include "lib/graph/gradient.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "lib/base/error.h"
#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/schemas.h"

namespace narrow::graph {
namespace {

constexpr std::string_view kDomain = "ai.onnx.preview.training";
constexpr int kAxesAsInput = 13;  // opset in which ReduceSum takes its axes as an input

bool is_gradient(const onnx::NodeProto& node) {
  return node.op_type() == "Gradient" && node.domain() == kDomain;
}

/// One Gradient node.
class Derivative {
 public:
  Derivative(GraphEditor& editor, const Model& model, const onnx::NodeProto& gradient)
      : editor_(editor), model_(model), index_(model.graph()), gradient_(gradient) {}

  void spell() {
    const std::vector<std::string> xs = strings_attribute(gradient_, "xs");
    const std::string y = string_attribute(gradient_, "y", "");
    substitute(xs, strings_attribute(gradient_, "zs"));
    const std::vector<const onnx::NodeProto*> nodes = nodes_between(y);
    for (const onnx::NodeProto* node : nodes) repeat(*node);
    seed(y);
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) go_back(**node);
    for (size_t i = 0; i < xs.size() && i < static_cast<size_t>(gradient_.output_size()); ++i) {
      const std::string& output = gradient_.output(static_cast<int>(i));
      if (!output.empty()) write(xs[i], output);
    }
  }

 private:
  using Names = std::vector<std::string>;

  [[noreturn]] void fail(ErrorKind kind, const std::string& why) const {
    throw Error(kind, "node '{}' (Gradient): {}", gradient_.name(), why);
  }

  void substitute(const Names& xs, const Names& zs) {
    if (xs.size() + zs.size() != static_cast<size_t>(gradient_.input_size())) {
      fail(ErrorKind::kModel, "its inputs are not as many as xs and zs");
    }
    for (size_t i = 0; i < xs.size() + zs.size(); ++i) {
      const std::string& name = i < xs.size() ? xs[i] : zs[i - xs.size()];
      if (!index_.has_value(name)) fail(ErrorKind::kModel, "there is no value '" + name + "'");
      value_[name] = gradient_.input(static_cast<int>(i));
      if (i < xs.size()) active_.insert(name);
    }
  }

  /// Those that y is made by from xs, in order.
  std::vector<const onnx::NodeProto*> nodes_between(const std::string& y) {
    if (!index_.has_value(y)) fail(ErrorKind::kModel, "there is no value '" + y + "'");
    std::vector<const onnx::NodeProto*> nodes;
    for (const onnx::NodeProto& node : model_.graph().node()) {
      const bool reads = std::any_of(node.input().begin(), node.input().end(),
                                     [&](const std::string& input) { return active_.contains(input); });
      if (!reads || is_gradient(node)) continue;
      nodes.push_back(&node);
      for (const std::string& output : node.output()) {
        if (!value_.contains(output)) active_.insert(output);
      }
    }
    if (!active_.contains(y)) fail(ErrorKind::kModel, "y does not depend on xs");
    std::set<std::string> wanted{y};
    for (size_t i = nodes.size(); i-- > 0;) {
      const auto& outputs = nodes[i]->output();
      const bool needed = std::any_of(outputs.begin(), outputs.end(),
                                      [&](const auto& output) { return wanted.contains(output) && !is_fed(output); });
      if (needed) wanted.insert(nodes[i]->input().begin(), nodes[i]->input().end());
      if (!needed) nodes[i] = nullptr;
    }
    std::erase(nodes, nullptr);
    return nodes;
  }

  /// Of xs or zs.
  bool is_fed(const std::string& value) const { return value_.contains(value); }

  std::string now(const std::string& value) const {
    const auto found = value_.find(value);
    return found == value_.end() ? value : found->second;
  }

  std::string emit(const std::string& op_type, const Names& inputs) {
    return editor_.add_value(op_type, gradient_.name() + "/" + op_type, inputs).output(0);
  }

  void repeat(const onnx::NodeProto& node) {
    if (node.output_size() != 1) fail(ErrorKind::kUnsupported, "no derivative of " + node_label(node) + " is known");
    Names inputs;
    for (const std::string& input : node.input()) inputs.push_back(now(input));
    onnx::NodeProto& copy = editor_.add_value(node.op_type(), gradient_.name() + "/" + node.output(0), inputs);
    copy.set_domain(node.domain());
    *copy.mutable_attribute() = node.attribute();
    repeated_[node.output(0)] = copy.output(0);
  }

  void seed(const std::string& y) {
    onnx::NodeProto& ones =
        editor_.add_value("ConstantOfShape", gradient_.name() + "/ones", {emit("Shape", {made(y)})});
    onnx::AttributeProto& attribute = *ones.add_attribute();
    attribute.set_name("value");
    attribute.set_type(onnx::AttributeProto::TENSOR);
    *attribute.mutable_t() = tensor_proto("", Tensor::of<float>({1}, {1}));
    slope_[y] = ones.output(0);
  }

  /// A value of the repeated nodes.
  std::string made(const std::string& value) const {
    const auto found = repeated_.find(value);
    return found == repeated_.end() ? now(value) : found->second;
  }

  void add_slope(const std::string& value, const std::string& slope, const std::string& result) {
    if (!active_.contains(value)) return;
    const std::string fitted = fit(slope, value, result);
    const auto [at, first] = slope_.emplace(value, fitted);
    if (!first) at->second = emit("Add", {at->second, fitted});
  }

  /// Summed over the axes that `value` was repeated along to meet `result`.
  std::string fit(const std::string& slope, const std::string& value, const std::string& result) {
    if (value == result) return slope;
    const auto from = index_.type(value).shape;
    const auto to = index_.type(result).shape;
    const auto is_open = [](const Shape& shape) { return std::find(shape.begin(), shape.end(), -1) != shape.end(); };
    if (!from || !to || is_open(*from) || is_open(*to)) {
      fail(ErrorKind::kUnsupported, "the shapes of '" + value + "' and '" + result + "' must be known");
    }
    if (*from == *to) return slope;
    std::vector<int64_t> axes;
    const size_t added = to->size() - from->size();
    for (size_t axis = 0; axis < to->size(); ++axis) {
      if (axis < added || ((*from)[axis - added] == 1 && (*to)[axis] != 1)) axes.push_back(static_cast<int64_t>(axis));
    }
    std::string sum = slope;
    if (!axes.empty()) {
      const bool as_input = model_.opset() >= kAxesAsInput;
      const auto count = static_cast<int64_t>(axes.size());
      Names inputs{slope};
      if (as_input) {
        inputs.push_back(editor_.add_initializer(gradient_.name() + "/axes",
                                                 Tensor::of<int64_t>({count}, std::span<const int64_t>(axes))));
      }
      onnx::NodeProto& reduce = editor_.add_value("ReduceSum", gradient_.name() + "/ReduceSum", inputs);
      if (!as_input) set_ints_attribute(reduce, "axes", axes);
      sum = reduce.output(0);
    }
    return emit("Reshape", {sum, emit("Shape", {made(value)})});
  }

  bool are_matrices(const onnx::NodeProto& node) const {
    return std::all_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
      const auto shape = index_.type(input).shape;
      return shape && shape->size() == 2;
    });
  }

  /// A node on the way back.
  struct Step {
    const onnx::NodeProto& node;
    std::string g;  // slope of its result
    std::string y;  // its result
  };

  std::string in(const Step& step, int i) const { return made(step.node.input(i)); }
  void give(const Step& step, int i, const std::string& slope) {
    add_slope(step.node.input(i), slope, step.node.output(0));
  }
  /// Of the input's own shape.
  void give_own(const Step& step, int i, const std::string& slope) {
    add_slope(step.node.input(i), slope, step.node.input(i));
  }

  void back_add(const Step& step) {
    give(step, 0, step.g);
    give(step, 1, step.g);
  }
  void back_sub(const Step& step) {
    give(step, 0, step.g);
    give(step, 1, emit("Neg", {step.g}));
  }
  void back_mul(const Step& step) {
    give(step, 0, emit("Mul", {step.g, in(step, 1)}));
    give(step, 1, emit("Mul", {step.g, in(step, 0)}));
  }
  void back_div(const Step& step) {
    const std::string share = emit("Div", {step.g, in(step, 1)});
    give(step, 0, share);
    give(step, 1, emit("Neg", {emit("Mul", {share, step.y})}));
  }
  void back_neg(const Step& step) { give_own(step, 0, emit("Neg", {step.g})); }
  void back_identity(const Step& step) { give_own(step, 0, step.g); }
  void back_exp(const Step& step) { give_own(step, 0, emit("Mul", {step.g, step.y})); }
  void back_log(const Step& step) { give_own(step, 0, emit("Div", {step.g, in(step, 0)})); }
  void back_sqrt(const Step& step) { give_own(step, 0, emit("Div", {step.g, emit("Add", {step.y, step.y})})); }
  void back_sigmoid(const Step& step) {
    give_own(step, 0, emit("Mul", {step.g, emit("Sub", {step.y, emit("Mul", {step.y, step.y})})}));
  }
  void back_tanh(const Step& step) {
    give_own(step, 0, emit("Sub", {step.g, emit("Mul", {step.g, emit("Mul", {step.y, step.y})})}));
  }
  void back_relu(const Step& step) { give_own(step, 0, emit("Mul", {step.g, emit("Sign", {step.y})})); }
  void back_matmul(const Step& step) {
    if (!are_matrices(step.node))
      fail(ErrorKind::kUnsupported, node_label(step.node) + " is no product of two matrices");
    give_own(step, 0, emit("MatMul", {step.g, emit("Transpose", {in(step, 1)})}));
    give_own(step, 1, emit("MatMul", {emit("Transpose", {in(step, 0)}), step.g}));
  }

  struct Rule {
    std::string_view op_type;
    void (Derivative::*back)(const Step& step);
  };

  /// From the slope of the node's result to those of its inputs.
  void go_back(const onnx::NodeProto& node) {
    static constexpr std::array kRules{
        Rule{"Add", &Derivative::back_add},       Rule{"Sub", &Derivative::back_sub},
        Rule{"Mul", &Derivative::back_mul},       Rule{"Div", &Derivative::back_div},
        Rule{"Neg", &Derivative::back_neg},       Rule{"Identity", &Derivative::back_identity},
        Rule{"Exp", &Derivative::back_exp},       Rule{"Log", &Derivative::back_log},
        Rule{"Sqrt", &Derivative::back_sqrt},     Rule{"Sigmoid", &Derivative::back_sigmoid},
        Rule{"Tanh", &Derivative::back_tanh},     Rule{"Relu", &Derivative::back_relu},
        Rule{"MatMul", &Derivative::back_matmul},
    };
    const auto slope = slope_.find(node.output(0));
    if (slope == slope_.end()) return;
    const bool own = canonical_domain(node.domain()).empty();
    const auto* rule = std::find_if(kRules.begin(), kRules.end(),
                                    [&](const Rule& each) { return own && each.op_type == node.op_type(); });
    if (rule == kRules.end()) {
      fail(ErrorKind::kUnsupported, "no derivative of " + node_label(node) + " (" + node.op_type() + ") is known");
    }
    (this->*rule->back)({.node = node, .g = slope->second, .y = made(node.output(0))});
  }

  void write(const std::string& x, const std::string& output) {
    const auto found = slope_.find(x);
    // What y does not depend on has slope 0.
    const std::string slope = found != slope_.end() ? found->second : emit("Sub", {now(x), now(x)});
    editor_.add_node("Identity", editor_.unique_name(output + "/Identity"), {slope}, {output});
  }

  GraphEditor& editor_;
  const Model& model_;
  GraphIndex index_;
  const onnx::NodeProto& gradient_;
  std::map<std::string, std::string> value_;     // xs and zs -> what is fed for them
  std::set<std::string> active_;                 // values that depend on xs
  std::map<std::string, std::string> repeated_;  // values between xs and y -> the same on what is fed
  std::map<std::string, std::string> slope_;     // value -> dy/dvalue
};

}  // namespace

bool spell_gradients(Model& model) {
  std::vector<onnx::NodeProto> gradients;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (is_gradient(node) && node.output_size() > 0) gradients.push_back(node);
  }
  for (const onnx::NodeProto& gradient : gradients) {
    const Model before = model;
    GraphEditor editor(model);
    for (const onnx::NodeProto& node : model.graph().node()) {
      if (is_gradient(node) && node.output(0) == gradient.output(0)) editor.remove_node(&node);
    }
    Derivative(editor, before, gradient).spell();
    editor.finish();
  }
  return !gradients.empty();
}

}  // namespace narrow::graph
