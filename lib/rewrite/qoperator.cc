#include "lib/rewrite/qoperator.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "lib/graph/attributes.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/rewrite/is_op.h"
#include "lib/rewrite/microsoft.h"
#include "lib/rewrite/qoperator_rows.h"

namespace narrow::rewrite {
namespace {

/// Integers with the constants that give them their meaning, by name.
struct Integers {
  std::string value;
  std::string scale;
  std::string zero_point;
  DataType type = DataType::kUndefined;

  bool means_as(const Integers& other) const { return scale == other.scale && zero_point == other.zero_point; }
};

/// What becomes of a node.
struct Replacement {
  const QoperatorRow* row = nullptr;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<const onnx::NodeProto*> vanished;  // QuantizeLinear nodes behind it
};
using ReplacementOrWhy = std::variant<Replacement, std::string>;

class QoperatorWriter {
 public:
  QoperatorWriter(const graph::Model& qdq, bool microsoft)
      : original_(qdq), index_(qdq.graph()), microsoft_(microsoft), result_{qdq, {}}, editor_(result_.model) {}

  QoperatorModel run() {
    onnx::GraphProto& graph = result_.model.mutable_graph();
    for (int i = 0; i < graph.node_size(); ++i) {
      const onnx::NodeProto& node = original_.graph().node(i);
      if (!reads_integers(node)) continue;
      ReplacementOrWhy made = replacement(node);
      if (auto* why = std::get_if<std::string>(&made)) {
        result_.kept.push_back({graph::node_label(node), node.op_type(), std::move(*why)});
      } else {
        replace(std::get<Replacement>(made), *graph.mutable_node(i));
      }
    }
    drop_quantize_nodes(graph);
    editor_.finish();
    if (uses_microsoft_) import_microsoft(result_.model);
    return std::move(result_);
  }

 private:
  /// Some input is a computed value behind DequantizeLinear.
  bool reads_integers(const onnx::NodeProto& node) const {
    if (is_op(&node, "QuantizeLinear") || is_op(&node, "DequantizeLinear")) return false;
    return std::any_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
      const onnx::NodeProto* producer = index_.producer(input);
      return is_op(producer, "DequantizeLinear") && index_.initializer(producer->input(0)) == nullptr;
    });
  }

  /// The bytes behind a value that DequantizeLinear makes; nullopt for other values and types.
  std::optional<Integers> integers_of(const std::string& value) const {
    const onnx::NodeProto* node = index_.producer(value);
    if (!is_op(node, "DequantizeLinear") || node->input_size() != 3) return std::nullopt;
    return checked({node->input(0), node->input(1), node->input(2), DataType::kUndefined});
  }

  std::optional<Integers> checked(Integers integers) const {
    const onnx::TensorProto* zero_point = index_.initializer(integers.zero_point);
    if (zero_point == nullptr) return std::nullopt;
    integers.type = static_cast<DataType>(zero_point->data_type());
    const bool byte = integers.type == DataType::kInt8 || integers.type == DataType::kUint8;
    return byte ? std::optional(std::move(integers)) : std::nullopt;
  }

  bool has_one_scale(const Integers& integers) const {
    const onnx::TensorProto* scale = index_.initializer(integers.scale);
    return scale != nullptr && scale->dims_size() == 0;
  }

  /// The only reader of a value, if that quantizes it; its constants and the integers that it makes.
  std::optional<Integers> quantized(const std::string& value) const {
    const auto uses = index_.uses(value);
    if (uses.size() != 1 || index_.is_output(value) || uses[0].input == graph::Use::kCaptured) return std::nullopt;
    const onnx::NodeProto* node = uses[0].node;
    if (!is_op(node, "QuantizeLinear") || node->input_size() != 3) return std::nullopt;
    return checked({node->output(0), node->input(1), node->input(2), DataType::kUndefined});
  }

  ReplacementOrWhy replacement(const onnx::NodeProto& node) const {
    const QoperatorRow* row = find_qoperator(node);
    if (row == nullptr) return "there is no such operator on integers";
    if (row->form == QoperatorForm::kMove || moves_alone(node)) return move(node);
    const auto result = quantized(node.output(0));
    if (!result) row = find_qoperator_to_float(node);
    if (row == nullptr) return "its result is float32, or read by several";
    if (row->microsoft && !microsoft_) return "ONNX has no such operator on integers";
    if (index_.uses(node.output(0)).empty() && !index_.is_output(node.output(0))) return "nothing reads it";
    Replacement made{.row = row, .inputs = {}, .outputs = {}, .vanished = {}};
    if (auto why = add_operands(*row, node, result, made)) return *why;
    if (result) made.vanished.push_back(index_.uses(node.output(0))[0].node);
    made.outputs = {result ? result->value : node.output(0)};
    return made;
  }

  std::optional<std::string> add_operands(const QoperatorRow& row, const onnx::NodeProto& node,
                                          const std::optional<Integers>& result, Replacement& made) const {
    const int operands = row.form == QoperatorForm::kJoin ? node.input_size() : row.form == QoperatorForm::kOne ? 1 : 2;
    const auto add = [&](const Integers& integers) {
      made.inputs.insert(made.inputs.end(), {integers.value, integers.scale, integers.zero_point});
    };
    const auto add_result = [&] { made.inputs.insert(made.inputs.end(), {result->scale, result->zero_point}); };
    if (row.form == QoperatorForm::kJoin) add_result();
    const bool product =
        row.form == QoperatorForm::kProduct || row.form == QoperatorForm::kSums || row.form == QoperatorForm::kToFloat;
    for (int i = 0; i < operands; ++i) {
      const auto integers = integers_of(node.input(i));
      if (!integers) return "it reads a float32 value, or one of another width";
      const bool weight = product && i == 1;
      if (weight ? !is_product_weight(row, *integers) : !has_one_scale(*integers)) {
        return "its scales do not fit the operator";
      }
      const bool same_type = result && integers->type == result->type;
      if (!product && !same_type) return "it reads or makes values of several types";
      add(*integers);
    }
    if (row.form == QoperatorForm::kProduct || row.form == QoperatorForm::kPair || row.form == QoperatorForm::kOne)
      add_result();
    if (product) {
      if (auto why = add_bias(row, node, made)) return why;
    }
    if (row.form == QoperatorForm::kSums && result) add_result();
    if (row.form == QoperatorForm::kToFloat) {
      const std::vector<std::string> all = made.inputs;  // each operand with its scale and zero point
      made.inputs = {all[0], all[3], all[1], all[4], all[2], all[5]};
    }
    return other_attributes(row, node);
  }

  /// The kernels take one zero point for all channels of a convolution, and scales along the columns of a matrix.
  bool is_product_weight(const QoperatorRow& row, const Integers& weight) const {
    if (has_one_scale(weight)) return true;
    const onnx::TensorProto* scale = index_.initializer(weight.scale);
    if (scale == nullptr || scale->dims_size() != 1) return false;
    if (row.real != "Conv") return true;
    const Tensor zero_points = original_.tensor(*index_.initializer(weight.zero_point));
    const std::byte* bytes = zero_points.bytes();
    return std::all_of(bytes, bytes + zero_points.byte_size(), [&](std::byte value) { return value == bytes[0]; });
  }

  /// The int32 constant behind the DequantizeLinear of a bias. Where there is none, QGemm still has a place for it.
  std::optional<std::string> add_bias(const QoperatorRow& row, const onnx::NodeProto& node, Replacement& made) const {
    const bool has_bias = node.input_size() > 2 && !node.input(2).empty();
    if (!has_bias) {
      if (row.form == QoperatorForm::kSums) made.inputs.emplace_back();
      return std::nullopt;
    }
    const onnx::NodeProto* bias = index_.producer(node.input(2));
    const onnx::TensorProto* codes = is_op(bias, "DequantizeLinear") ? index_.initializer(bias->input(0)) : nullptr;
    if (codes == nullptr || codes->data_type() != onnx::TensorProto::INT32) return "its bias is not int32";
    made.inputs.push_back(bias->input(0));
    return std::nullopt;
  }

  /// The operators of com.microsoft know fewer attributes than ONNX's newest.
  static std::optional<std::string> other_attributes(const QoperatorRow& row, const onnx::NodeProto& node) {
    if (!row.microsoft) return std::nullopt;
    const std::vector<int64_t> dilations = graph::ints_attribute(node, "dilations");
    const bool dilated = std::any_of(dilations.begin(), dilations.end(), [](int64_t d) { return d != 1; });
    return dilated ? std::optional<std::string>("the operator has no dilations") : std::nullopt;
  }

  /// A Concat whose parts and result mean the same needs no arithmetic.
  bool moves_alone(const onnx::NodeProto& node) const {
    if (node.op_type() != "Concat") return false;
    const auto result = quantized(node.output(0));
    return result && std::all_of(node.input().begin(), node.input().end(), [&](const std::string& input) {
             const auto part = integers_of(input);
             return part && part->means_as(*result);
           });
  }

  ReplacementOrWhy move(const onnx::NodeProto& node) const {
    const auto source = integers_of(node.input(0));
    if (!source) return "it reads a float32 value, or one of another width";
    Replacement made{.row = find_qoperator(node), .inputs = {}, .outputs = {}, .vanished = {}};
    made.inputs.assign(node.input().begin(), node.input().end());
    made.inputs[0] = source->value;
    for (int i = 1; node.op_type() == "Concat" && i < node.input_size(); ++i) {
      made.inputs[static_cast<size_t>(i)] = integers_of(node.input(i))->value;
    }
    for (const std::string& output : node.output()) {
      if (output.empty() || (index_.uses(output).empty() && !index_.is_output(output))) {
        made.outputs.push_back(output);
        continue;
      }
      const auto result = quantized(output);
      if (!result || !result->means_as(*source)) return "its result is float32, or has another scale";
      made.outputs.push_back(result->value);
      made.vanished.push_back(index_.uses(output)[0].node);
    }
    // What stands for zeros around integers is their zero point.
    const bool pads = node.op_type() == "Pad" && graph::string_attribute(node, "mode", "constant") == "constant";
    if (pads) {
      if (made.inputs.size() < 3) made.inputs.resize(3);
      made.inputs[2] = source->zero_point;
    }
    return made;
  }

  void replace(const Replacement& made, onnx::NodeProto& node) {
    const QoperatorRow& row = *made.row;
    const bool moves = row.form == QoperatorForm::kMove || moves_alone(node);
    if (!moves) {
      node.set_op_type(std::string(row.op_type));
      if (row.microsoft) node.set_domain(std::string(kMicrosoftDomain));
      uses_microsoft_ |= row.microsoft;
    }
    if (row.form == QoperatorForm::kSums) drop_attribute(node, "beta");
    if (row.microsoft) drop_attribute(node, "dilations");
    node.clear_input();
    for (const std::string& input : made.inputs) node.add_input(input);
    while (node.input_size() > 0 && node.input(node.input_size() - 1).empty()) node.mutable_input()->RemoveLast();
    for (int i = 0; i < node.output_size(); ++i) {
      // What keeps its name keeps what is known of it, but where nobody can infer it.
      if (row.microsoft || made.outputs[static_cast<size_t>(i)] != node.output(i)) {
        declare(made.outputs[static_cast<size_t>(i)], node.output(i));
      }
      node.set_output(i, made.outputs[static_cast<size_t>(i)]);
    }
    for (const onnx::NodeProto* quantize : made.vanished) vanished_.insert(quantize->output(0));
  }

  /// Types behind operators of com.microsoft are not inferred: `result`, integers or float32, has the real value's
  /// shape.
  void declare(const std::string& result, const std::string& real) {
    const graph::ValueType type = index_.type(real);
    const auto quantize = quantized(real);
    const bool is_real = result == real;
    if ((!is_real && !quantize) || !type.shape || index_.is_output(result)) return;
    onnx::ValueInfoProto& info = *result_.model.mutable_graph().add_value_info();
    info.set_name(result);
    info.mutable_type()->mutable_tensor_type()->set_elem_type(is_real ? onnx::TensorProto::FLOAT
                                                                      : static_cast<int>(quantize->type));
    auto& shape = *info.mutable_type()->mutable_tensor_type()->mutable_shape();
    for (const int64_t dimension : *type.shape) {
      auto& added = *shape.add_dim();
      if (dimension >= 0) added.set_dim_value(dimension);
    }
  }

  static void drop_attribute(onnx::NodeProto& node, std::string_view name) {
    auto& attributes = *node.mutable_attribute();
    const auto unwanted = [&](const onnx::AttributeProto& attribute) { return attribute.name() == name; };
    attributes.erase(std::remove_if(attributes.begin(), attributes.end(), unwanted), attributes.end());
  }

  /// QuantizeLinear nodes whose integers an operator makes now, and DequantizeLinear nodes that nobody reads any more.
  void drop_quantize_nodes(const onnx::GraphProto& graph) {
    const graph::GraphIndex after(graph);
    for (const onnx::NodeProto& node : graph.node()) {
      const bool quantizes = is_op(&node, "QuantizeLinear") && vanished_.contains(node.output(0));
      const bool unread =
          is_op(&node, "DequantizeLinear") && after.uses(node.output(0)).empty() && !after.is_output(node.output(0));
      if (quantizes || unread) editor_.remove_node(&node);
    }
  }

  const graph::Model& original_;
  graph::GraphIndex index_;
  bool microsoft_;
  bool uses_microsoft_ = false;
  QoperatorModel result_;
  graph::GraphEditor editor_;
  std::set<std::string> vanished_;  // integers whose QuantizeLinear goes
};

}  // namespace

QoperatorModel to_qoperators(const graph::Model& qdq, bool microsoft) {
  return QoperatorWriter(qdq, microsoft).run();
}

}  // namespace narrow::rewrite
