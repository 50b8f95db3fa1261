#include "lib/graph/old_meaning.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/model.h"
#include "lib/graph/traverse.h"

namespace narrow::graph {
namespace {

constexpr int kBoolMask = 10;        // opset whose Dropout has a mask of bool
constexpr int kSpelledResize = 11;   // ... whose Resize has attributes for what was fixed before
constexpr int kMaskOfKept = 12;      // ... whose Dropout says what the mask of inference is
constexpr int kOneAxisHardmax = 13;  // ... whose Hardmax takes the largest along one axis
constexpr int kScaleByChannel = 21;  // ... whose GroupNormalization has a scale for each channel, not for each group

void set_string_attribute(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(value);
}

/// Tensors that a graph and its bodies hold as constants, by the values that they are.
std::unordered_map<std::string, const onnx::TensorProto*> constants_of(const onnx::GraphProto& main) {
  std::unordered_map<std::string, const onnx::TensorProto*> constants;
  for_each_graph(main, [&](const onnx::GraphProto& graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) constants[tensor.name()] = &tensor;
    for (const onnx::NodeProto& node : graph.node()) {
      const onnx::AttributeProto* value = node.op_type() == "Constant" ? find_attribute(node, "value") : nullptr;
      if (value != nullptr) constants[node.output(0)] = &value->t();
    }
  });
  return constants;
}

class OldMeaning {
 public:
  OldMeaning(const onnx::ModelProto& before, Model& after)
      : before_(before.graph()), constants_(constants_of(before.graph())), after_(after), editor_(after) {
    // By their outputs: nodes need no names.
    for_each_node(before_, [&](const onnx::NodeProto& node) {
      if (canonical_domain(node.domain()).empty() && node.output_size() > 0) originals_.emplace(node.output(0), &node);
    });
  }

  void keep(int from, int to) {
    const auto passes = [&](int opset) { return from < opset && to >= opset; };
    if (passes(kSpelledResize)) {
      for_each_of("Resize", [&](auto& graph, auto& node, const auto& original) { resize(graph, node, original); });
    }
    if (passes(kMaskOfKept)) {
      for_each_of("Dropout", [&](auto& graph, auto& node, const auto& original) {
        if (original.output_size() > 1 && !original.output(1).empty()) mask(graph, node, original, from);
      });
    }
    if (passes(kOneAxisHardmax)) {
      for_each_of("Hardmax", [&](auto& graph, auto& node, const auto& /*original*/) { hardmax(graph, node); });
    }
    if (passes(kScaleByChannel)) {
      for_each_of("GroupNormalization",
                  [&](auto& graph, auto& node, const auto& original) { group_scales(graph, node, original); });
    }
    if (changed_) editor_.finish();
  }

 private:
  /// Calls visit(graph, node, original) for each node that there was before. Adding nodes moves no others.
  template <class Visit>
  void for_each_of(std::string_view op_type, const Visit& visit) {
    for_each_graph(after_.mutable_graph(), [&](onnx::GraphProto& graph) {
      const int count = graph.node_size();  // without those that are added
      for (int i = 0; i < count; ++i) {
        onnx::NodeProto& node = *graph.mutable_node(i);
        if (node.op_type() != op_type || node.output_size() == 0) continue;
        const auto found = originals_.find(node.output(0));
        if (found != originals_.end()) visit(graph, node, *found->second);
      }
    });
  }

  void edit(onnx::GraphProto& graph) {
    editor_.edit(graph);
    changed_ = true;
  }

  /// Opset 10 took x / scale for the coordinate, and of the nearest samples the one below along an axis that grows, the
  /// one above along an axis that shrinks.
  void resize(onnx::GraphProto& graph, onnx::NodeProto& node, const onnx::NodeProto& original) {
    set_string_attribute(node, "coordinate_transformation_mode", "asymmetric");
    if (string_attribute(node, "mode", "nearest") != "nearest") return;
    const Tensor scales = scales_of(original);
    const auto numbers = scales.defined() ? scales.data<float>() : std::span<const float>();
    const auto shrinks = [](float scale) { return scale < 1; };
    const auto grows = [](float scale) { return scale > 1; };
    // Upsample only grows.
    const bool known = scales.defined() || original.op_type() == "Upsample";
    if (known && std::none_of(numbers.begin(), numbers.end(), shrinks)) {
      set_string_attribute(node, "nearest_mode", "floor");
    } else if (known && std::none_of(numbers.begin(), numbers.end(), grows)) {
      set_string_attribute(node, "nearest_mode", "ceil");
    } else {
      grow_then_shrink(graph, node, scales);
    }
  }

  /// The scales where they are constant.
  Tensor scales_of(const onnx::NodeProto& original) const {
    const auto found = original.input_size() > 1 ? constants_.find(original.input(1)) : constants_.end();
    if (found == constants_.end() || found->second->data_location() == onnx::TensorProto::EXTERNAL) return {};
    Tensor scales = embedded_tensor(*found->second);
    return scales.type() == DataType::kFloat32 ? scales : Tensor();
  }

  // Newer opsets round all axes alike; axes are apart, so one may follow the other.
  //
  // Before:  y = Resize <mode = "nearest"> (x, s)
  // After:   g = Resize <nearest_mode = "floor"> (x, roi, Max (s, 1))
  //          y = Resize <nearest_mode = "ceil"> (g, roi, Min (s, 1))
  void grow_then_shrink(onnx::GraphProto& graph, onnx::NodeProto& node, const Tensor& scales) {
    edit(graph);
    const std::string output = node.output(0);
    const std::string scale = node.input(2);
    const auto limited = [&](const char* op_type, const std::string& suffix) {
      if (scales.defined()) {
        Tensor values(DataType::kFloat32, scales.shape());
        const auto limit = [&](float value) {
          return op_type == std::string_view("Max") ? std::max(value, 1.0F) : std::min(value, 1.0F);
        };
        std::transform(scales.data<float>().begin(), scales.data<float>().end(), values.mutable_data<float>().begin(),
                       limit);
        return editor_.add_initializer(output + suffix, values);
      }
      const std::string one = editor_.add_initializer(output + suffix + "_limit", Tensor::scalar(1.0F));
      return editor_.add_value(op_type, output + suffix, {scale, one}).output(0);
    };
    const std::string growing = limited("Max", "_growing");
    const std::string shrinking = limited("Min", "_shrinking");
    const std::string grown = editor_.unique_name(output + "_grown");
    onnx::NodeProto& first = *graph.add_node();
    first = node;
    first.set_name(editor_.unique_name(node.name() + "_grow"));
    first.set_input(2, growing);
    first.set_output(0, grown);
    set_string_attribute(first, "nearest_mode", "floor");
    node.set_input(0, grown);
    node.set_input(2, shrinking);
    set_string_attribute(node, "nearest_mode", "ceil");
  }

  // The mask of inference was all zeros, and of the data's type before opset 10.
  //
  // Before:  y, m = Dropout (x)
  // After:   y = Dropout (x);  m = ConstantOfShape <value = 0> (Shape (x))
  void mask(onnx::GraphProto& graph, onnx::NodeProto& node, const onnx::NodeProto& original, int from) {
    edit(graph);
    const DataType type = from < kBoolMask ? type_before(original.input(0)).type : DataType::kBool;
    const std::string& mask = original.output(1);
    const std::string shape = editor_.add_value("Shape", mask + "_shape", {node.input(0)}).output(0);
    onnx::NodeProto& zeros = editor_.add_node("ConstantOfShape", mask + "_ConstantOfShape", {shape}, {mask});
    onnx::AttributeProto& value = *zeros.add_attribute();
    value.set_name("value");
    value.set_type(onnx::AttributeProto::TENSOR);
    value.mutable_t()->set_data_type(static_cast<int32_t>(type == DataType::kUndefined ? DataType::kFloat32 : type));
    value.mutable_t()->add_dims(1);
    value.mutable_t()->set_raw_data(
        std::string(static_cast<size_t>(data_type_bits(DataType{value.t().data_type()})) / 8, 0));
    node.mutable_output()->RemoveLast();
  }

  // Before, all axes from `axis` on were one; the converter knows it of Softmax, not of Hardmax.
  //
  // Before:  y = Hardmax <axis> (x)
  // After:   s = Shape (x);  f = Flatten <axis> (x);  h = Hardmax <-1> (f);  y = Reshape (h, s)
  void hardmax(onnx::GraphProto& graph, onnx::NodeProto& node) {
    edit(graph);
    const int64_t axis = int_attribute(node, "axis", 1);
    const std::string output = node.output(0);
    const std::string shape = editor_.add_value("Shape", output + "_shape", {node.input(0)}).output(0);
    onnx::NodeProto& flat = editor_.add_value("Flatten", output + "_flat", {node.input(0)});
    set_int_attribute(flat, "axis", axis);
    const std::string hard = editor_.unique_name(output + "_hard");
    editor_.add_node("Reshape", output + "_Reshape", {hard, shape}, {output});
    node.set_input(0, flat.output(0));
    node.set_output(0, hard);
    set_int_attribute(node, "axis", -1);
  }

  // The converter leaves it, a deprecated operator, as it is.
  //
  // Before:  y = GroupNormalization <num_groups = G> (x, s, b)
  // After:   t = Reshape (Expand (Reshape (s, [-1, 1]), [1, C / G]), [-1]);  u of b likewise
  //          y = GroupNormalization <num_groups = G> (x, t, u)
  void group_scales(onnx::GraphProto& graph, onnx::NodeProto& node, const onnx::NodeProto& original) {
    if (node.input_size() < 3 || node.input(1) != original.input(1)) return;
    edit(graph);
    const std::string output = node.output(0);
    const auto list = [&](const std::string& name, const std::vector<int64_t>& values) {
      return editor_.add_initializer(output + name, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
    };
    const int64_t groups = int_attribute(node, "num_groups", 1);
    const auto shape = type_before(original.input(0)).shape;
    std::string copies;
    if (shape && shape->size() > 1 && shape->at(1) >= 0 && groups > 0) {
      copies = list("_copies", {1, shape->at(1) / groups});
    } else {
      onnx::NodeProto& channels = editor_.add_value("Shape", output + "_channels", {node.input(0)});
      set_int_attribute(channels, "start", 1);
      set_int_attribute(channels, "end", 2);
      const std::string share =
          editor_.add_value("Div", output + "_share", {channels.output(0), list("_groups", {groups})}).output(0);
      onnx::NodeProto& joined = editor_.add_value("Concat", output + "_copies", {list("_one", {1}), share});
      set_int_attribute(joined, "axis", 0);
      copies = joined.output(0);
    }
    const std::string column = list("_column", {-1, 1});
    const std::string row = list("_row", {-1});
    for (const int input : {1, 2}) {
      const std::string name = node.input(input);
      const std::string standing = editor_.add_value("Reshape", name + "_standing", {name, column}).output(0);
      const std::string repeated = editor_.add_value("Expand", name + "_repeated", {standing, copies}).output(0);
      node.set_input(input, editor_.add_value("Reshape", name + "_by_channel", {repeated, row}).output(0));
    }
  }

  /// Of the few values that are asked for: no index where none is.
  ValueType type_before(const std::string& value) {
    if (!index_before_) index_before_.emplace(before_, Depth::kBodies);
    return index_before_->type(value);
  }

  const onnx::GraphProto& before_;
  std::optional<GraphIndex> index_before_;
  std::unordered_map<std::string, const onnx::TensorProto*> constants_;
  std::unordered_map<std::string, const onnx::NodeProto*> originals_;
  Model& after_;
  GraphEditor editor_;
  bool changed_ = false;
};

}  // namespace

void keep_old_meaning(const onnx::ModelProto& before, int from, int to, onnx::ModelProto& after) {
  if (from >= kScaleByChannel) return;
  Model model(std::move(after));
  OldMeaning(before, model).keep(from, to);
  after = std::move(model.mutable_proto());
}

}  // namespace narrow::graph
