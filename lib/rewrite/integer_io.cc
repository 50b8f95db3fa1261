#include "lib/rewrite/integer_io.h"

#include <algorithm>
#include <vector>

#include "lib/base/error.h"
#include "lib/graph/edit.h"
#include "lib/graph/graph_index.h"
#include "lib/rewrite/constant_writer.h"
#include "lib/rewrite/is_op.h"

namespace narrow::rewrite {
namespace {

void set_type(google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& infos, const std::string& name, DataType type) {
  for (onnx::ValueInfoProto& info : infos) {
    if (info.name() == name) info.mutable_type()->mutable_tensor_type()->set_elem_type(static_cast<int>(type));
  }
}

/// The type of an input or output, whichever has the name.
void set_io_type(onnx::GraphProto& graph, const std::string& name, DataType type) {
  set_type(*graph.mutable_input(), name, type);
  set_type(*graph.mutable_output(), name, type);
}

/// `value` and the integers that stand for it change places: all QuantizeLinear nodes of the input go.
void take_integers(graph::GraphEditor& editor, onnx::GraphProto& graph, const std::string& value) {
  const graph::GraphIndex index(graph);
  graph::GraphEditor::Redirections redirections;
  const onnx::NodeProto* dequantize = nullptr;
  for (const graph::Use& use : index.uses(value)) {
    if (!is_op(*use.node, "QuantizeLinear")) continue;
    redirections[use.node->output(0)] = value;
    editor.remove_node(use.node);
    const auto readers = index.uses(use.node->output(0));
    if (dequantize == nullptr && !readers.empty()) dequantize = readers[0].node;
  }
  ensure(dequantize != nullptr, "a quantized input has a Q/DQ pair");
  redirections[value] = dequantize->output(0);  // readers of the float value
  editor.redirect_uses(redirections);
}

/// Before:  q = QuantizeLinear (r);  value = DequantizeLinear (q);  ... q, value
/// After:   value = QuantizeLinear (r);  d = DequantizeLinear (value);  ... value, d
void make_integers(graph::GraphEditor& editor, onnx::GraphProto& graph, const std::string& value) {
  const auto maker_of = [&](const std::string& name) {
    return std::find_if(graph.mutable_node()->begin(), graph.mutable_node()->end(), [&](const onnx::NodeProto& node) {
      return std::find(node.output().begin(), node.output().end(), name) != node.output().end();
    });
  };
  const auto dequantize = maker_of(value);
  ensure(dequantize != graph.mutable_node()->end() && is_op(*dequantize, "DequantizeLinear"),
         "a quantized output comes from a Q/DQ pair");
  const std::string integers = dequantize->input(0);
  const std::string dequantized = editor.unique_name(value + "_dequantized");
  const auto maker = maker_of(integers);
  ensure(maker != graph.mutable_node()->end(), "computed integers have a maker");
  editor.redirect_uses({{value, dequantized}, {integers, value}});
  *std::find(maker->mutable_output()->begin(), maker->mutable_output()->end(), integers) = value;
  dequantize->set_output(0, dequantized);
  const graph::GraphIndex index(graph);
  if (index.uses(dequantized).empty()) editor.remove_node(&*dequantize);
}

void set_metadata(onnx::ModelProto& model, const std::string& key, const std::string& text) {
  onnx::StringStringEntryProto& entry = *model.add_metadata_props();
  entry.set_key(key);
  entry.set_value(text);
}

}  // namespace

graph::Model with_integer_io(const graph::Model& model, const plan::PrecisionPlan& plan) {
  if (plan.form.integer_io.empty()) return model;
  graph::Model result = model;
  onnx::GraphProto& graph = result.mutable_graph();
  Json metadata = Json::object();
  for (const std::string& name : plan.form.integer_io) {
    const auto value = std::find_if(plan.values.begin(), plan.values.end(),
                                    [&](const plan::ValuePlan& each) { return each.value == name; });
    ensure(value != plan.values.end(), "check_plan found the value");
    const bool input = graph::GraphIndex(graph).is_input(name);
    graph::GraphEditor editor(result);
    input ? take_integers(editor, graph, name) : make_integers(editor, graph, name);
    editor.finish();
    set_io_type(graph, name, quant::row(value->params.type).storage);
    metadata[name] = {{"type", quant::name(value->params.type)},
                      {"scale", json_float(value->params.scales[0])},
                      {"zero_point", value->params.zero_points[0]}};
  }
  set_metadata(result.mutable_proto(), std::string(kIntegerIoKey), metadata.dump());
  return result;
}

Json integer_io(const graph::Model& model) {
  for (const onnx::StringStringEntryProto& entry : model.proto().metadata_props()) {
    if (entry.key() != kIntegerIoKey) continue;
    Json json = Json::parse(entry.value(), nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) throw Error(ErrorKind::kModel, "metadata '{}' are no JSON object", kIntegerIoKey);
    return json;
  }
  return nullptr;
}

namespace {

struct IoParams {
  std::string name;
  quant::QuantParams params;
};

std::vector<IoParams> read_params(const Json& json, const graph::GraphIndex& index) {
  std::vector<IoParams> found;
  for (const auto& [name, entry] : json.items()) {
    try {
      JsonObject object(entry, name);
      IoParams io{.name = name, .params = {.type = quant::quant_type_from_name(object.get<std::string>("type"))}};
      io.params.scales = {object.get<float>("scale")};
      io.params.zero_points = {object.get<int32_t>("zero_point")};
      object.finish();
      const bool there = index.is_input(name) || index.is_output(name);
      if (!there || index.type(name).type != quant::row(io.params.type).storage) {
        throw Error(ErrorKind::kModel, "the model has no {} input or output '{}'", quant::name(io.params.type), name);
      }
      found.push_back(std::move(io));
    } catch (Error& error) {
      throw Error(ErrorKind::kModel, "metadata '{}': {}", kIntegerIoKey, error.what());
    }
  }
  return found;
}

/// Renames every definition and use of a value in the main graph and its bodies' captures.
void rename_value(graph::GraphEditor& editor, onnx::GraphProto& graph, const std::string& from, const std::string& to) {
  editor.redirect_uses({{from, to}});
  for (onnx::NodeProto& node : *graph.mutable_node()) {
    std::replace(node.mutable_output()->begin(), node.mutable_output()->end(), from, to);
  }
}

}  // namespace

graph::Model with_float_io(const graph::Model& model) {
  const Json json = integer_io(model);
  if (json.is_null()) return model;
  graph::Model result = model;
  onnx::GraphProto& graph = result.mutable_graph();
  const graph::GraphIndex before(model.graph());
  const std::vector<IoParams> all = read_params(json, before);
  graph::GraphEditor editor(result);
  ConstantWriter constants(model, before, editor);
  for (const IoParams& io : all) {
    const std::string integers = editor.unique_name(io.name + "_quantized");
    rename_value(editor, graph, io.name, integers);
    const ParameterNames names = constants.add_parameters(graph, io.name, io.params, {}, Zeros::kStored);
    const bool input = before.is_input(io.name);
    editor.add_node(input ? "QuantizeLinear" : "DequantizeLinear", io.name + "_io",
                    {input ? io.name : integers, names.scale, names.zero_point}, {input ? integers : io.name});
    set_io_type(graph, io.name, DataType::kFloat32);
  }
  editor.finish();
  auto& metadata = *result.mutable_proto().mutable_metadata_props();
  metadata.erase(
      std::remove_if(metadata.begin(), metadata.end(), [](const auto& entry) { return entry.key() == kIntegerIoKey; }),
      metadata.end());
  return result;
}

}  // namespace narrow::rewrite
