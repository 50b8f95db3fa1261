#include "apps/inspect.h"

#include <fmt/format.h>

#include "lib/analyze/analyze.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/report/format.h"
#include "lib/tensor/shape.h"

namespace narrow::apps {
namespace {

ValueFacts value_facts(const graph::GraphIndex& index, const std::string& name) {
  const graph::ValueType type = index.type(name);
  return {name, std::string(data_type_name(type.type)), type.shape ? shape_text(*type.shape) : "?"};
}

/// What bytes stand for that operators of the graph decode (lib/rewrite/decoder.h), by the initializer's name: a Cast
/// makes them the places in a table that Gather looks up.
std::map<std::string, std::string> coded_types(const onnx::GraphProto& graph, const graph::GraphIndex& index) {
  std::map<std::string, std::string> types;
  for (const onnx::NodeProto& node : graph.node()) {
    const onnx::TensorProto* bytes = node.op_type() == "Cast" ? index.initializer(node.input(0)) : nullptr;
    if (bytes == nullptr || bytes->data_type() != onnx::TensorProto::UINT8) continue;
    for (const graph::Use& use : index.uses(node.output(0))) {
      const onnx::TensorProto* table =
          use.node->op_type() == "Gather" ? index.initializer(use.node->input(0)) : nullptr;
      const bool of_bytes = table != nullptr && table->dims_size() == 2 && table->dims(0) == 256;
      if (use.node->op_type() != "Add" && table == nullptr) continue;
      types[bytes->name()] = of_bytes && table->data_type() == onnx::TensorProto::INT8 ? "binary" : "codebook";
    }
  }
  return types;
}

void count_tensor(const onnx::TensorProto& tensor, const std::map<std::string, std::string>& coded,
                  Inspection& inspection) {
  int64_t count = 1;
  for (const int64_t size : tensor.dims()) count *= size;
  const auto type = static_cast<DataType>(tensor.data_type());
  const auto known = coded.find(tensor.name());
  inspection.parameters += count;
  inspection.bytes_by_type[known == coded.end() ? std::string(data_type_name(type)) : known->second] +=
      static_cast<int64_t>(storage_bytes(type, count));
}

void count_graph(const graph::Model& model, Inspection& inspection) {
  const graph::GraphIndex index(model.graph(), graph::Depth::kBodies);
  graph::for_each_graph(model.graph(), [&](const onnx::GraphProto& graph) {
    const auto coded = coded_types(graph, index);
    for (const onnx::TensorProto& tensor : graph.initializer()) count_tensor(tensor, coded, inspection);
  });
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    ++inspection.nodes;
    const std::string domain(graph::canonical_domain(node.domain()));
    ++inspection.operators[domain.empty() ? node.op_type() : domain + "." + node.op_type()];
    if (node.op_type() != "Constant") return;
    for (const onnx::AttributeProto& attribute : node.attribute()) {
      if (attribute.has_t()) count_tensor(attribute.t(), {}, inspection);
    }
  });
  inspection.quantize_nodes = count_nodes(model, "QuantizeLinear");
  inspection.dequantize_nodes = count_nodes(model, "DequantizeLinear");
}

void analyze_layers(const graph::Model& loaded, Inspection& inspection, Stages& stages) {
  const graph::Model model = normalize(loaded, stages);
  const analyze::Analysis analysis = stages.run("analyze", [&] { return analyze::analyze(model); });
  std::map<std::pair<std::string, std::string>, int64_t> floats;
  for (const analyze::Layer& layer : analysis.layers) {
    inspection.macs += layer.macs;
    if (layer.reason) {
      ++floats[{layer.op_type, layer.reason->text()}];
    } else {
      ++inspection.quantizable_nodes;
      inspection.quantizable_macs += layer.macs;
    }
  }
  for (const auto& [key, nodes] : floats) inspection.stays_float.push_back({key.first, key.second, nodes});
  inspection.normalized_nodes = static_cast<int64_t>(analysis.layers.size());
  inspection.analyzed = true;
}

Json values_json(const std::vector<ValueFacts>& values) {
  Json json = Json::array();
  for (const ValueFacts& value : values) {
    json.push_back({{"name", value.name}, {"type", value.type}, {"shape", value.shape}});
  }
  return json;
}

report::Section values_section(const char* title, const std::vector<ValueFacts>& values) {
  report::Table table;
  table.columns = {{""}, {""}, {""}};
  for (const ValueFacts& value : values) table.rows.push_back({value.name, value.type, value.shape});
  return {title, {std::move(table)}};
}

report::Section quantization_section(const Inspection& inspection) {
  using report::Align;
  report::Table shares{
      .columns = {{""}, {"share", Align::kRight}, {"quantizable", Align::kRight}, {"all", Align::kRight}}, .rows = {}};
  const auto add = [&](const char* what, int64_t part, int64_t all) {
    const double share = all == 0 ? 1 : static_cast<double>(part) / static_cast<double>(all);
    shares.rows.push_back({what, report::percent_text(share), report::count_text(part), report::count_text(all)});
  };
  add("MACs", inspection.quantizable_macs, inspection.macs);
  add("nodes", inspection.quantizable_nodes, inspection.normalized_nodes);
  report::Section section{"quantization (after folding)", {std::move(shares)}};
  if (inspection.stays_float.empty()) return section;
  report::Table floats{.columns = {{"stays float"}, {"nodes", Align::kRight}, {"reason"}}, .rows = {}};
  for (const FloatGroup& group : inspection.stays_float) {
    floats.rows.push_back({group.op_type, report::count_text(group.nodes), group.reason});
  }
  section.blocks.emplace_back(std::move(floats));
  return section;
}

}  // namespace

Inspection inspect(const ModelSource& source, Stages& stages) {
  Inspection inspection;
  const onnx::ModelProto& proto = source.loaded.proto();
  inspection.file = source.facts;
  inspection.producer =
      proto.producer_name() + (proto.producer_version().empty() ? "" : " " + proto.producer_version());
  inspection.ir_version = proto.ir_version();
  for (const auto& opset : proto.opset_import()) {
    const std::string domain(graph::canonical_domain(opset.domain()));
    inspection.opsets[domain.empty() ? "ai.onnx" : domain] = opset.version();
  }
  inspection.file_opset = source.file_opset;
  if (const auto note = raised_opset_note(source)) inspection.notes.push_back(*note);
  const graph::GraphIndex index(source.loaded.graph());
  for (const calib::InputSpec& input : model_inputs(source.loaded)) {
    inspection.inputs.push_back(value_facts(index, input.name));
  }
  for (const auto& output : proto.graph().output()) inspection.outputs.push_back(value_facts(index, output.name()));
  count_graph(source.loaded, inspection);
  if (inspection.quantize_nodes == 0) analyze_layers(source.loaded, inspection, stages);
  return inspection;
}

Json to_json(const Inspection& inspection) {
  Json json{{"format", "narrow-inspect"}, {"version", 1}};
  json["file"] = {{"path", inspection.file.path},
                  {"sha256", inspection.file.sha256},
                  {"file_bytes", inspection.file.file_bytes},
                  {"weight_bytes", inspection.file.weight_bytes}};
  json["producer"] = inspection.producer;
  json["ir_version"] = inspection.ir_version;
  json["opsets"] = inspection.opsets;
  json["file_opset"] = inspection.file_opset;
  json["notes"] = inspection.notes;
  json["inputs"] = values_json(inspection.inputs);
  json["outputs"] = values_json(inspection.outputs);
  json["nodes"] = inspection.nodes;
  json["operators"] = inspection.operators;
  json["parameters"] = inspection.parameters;
  json["bytes_by_type"] = inspection.bytes_by_type;
  json["quantize_nodes"] = inspection.quantize_nodes;
  json["dequantize_nodes"] = inspection.dequantize_nodes;
  if (!inspection.analyzed) return json;
  Json floats = Json::array();
  for (const FloatGroup& group : inspection.stays_float) {
    floats.push_back({{"op", group.op_type}, {"reason", group.reason}, {"nodes", group.nodes}});
  }
  json["quantization"] = {{"macs", inspection.macs},
                          {"quantizable_macs", inspection.quantizable_macs},
                          {"nodes", inspection.normalized_nodes},
                          {"quantizable_nodes", inspection.quantizable_nodes},
                          {"stays_float", std::move(floats)}};
  return json;
}

report::Document to_document(const Inspection& inspection) {
  report::Document document;
  document.title = inspection.file.path;
  std::string opsets;
  for (const auto& [domain, version] : inspection.opsets) opsets += fmt::format(", {} {}", domain, version);
  document.summary = {fmt::format("{}, IR {}{}{}", report::bytes_text(inspection.file.file_bytes),
                                  inspection.ir_version, opsets,
                                  inspection.producer.empty() ? "" : ", made by " + inspection.producer)};
  document.summary.insert(document.summary.end(), inspection.notes.begin(), inspection.notes.end());
  document.sections.push_back(values_section("inputs", inspection.inputs));
  document.sections.push_back(values_section("outputs", inspection.outputs));
  report::Table operators{.columns = {{""}, {"", report::Align::kRight}}, .rows = {}};
  for (const auto& [name, count] : inspection.operators) operators.rows.push_back({name, report::count_text(count)});
  document.sections.push_back({report::plural(inspection.nodes, "node"), {std::move(operators)}});
  report::Table bytes{.columns = {{""}, {"", report::Align::kRight}}, .rows = {}};
  for (const auto& [type, size] : inspection.bytes_by_type) bytes.rows.push_back({type, report::bytes_text(size)});
  document.sections.push_back({report::plural(inspection.parameters, "parameter"), {std::move(bytes)}});
  if (inspection.analyzed) {
    document.sections.push_back(quantization_section(inspection));
  } else {
    document.sections.push_back(
        {"quantization",
         {report::Lines{{fmt::format("quantized already: {} QuantizeLinear, {} DequantizeLinear",
                                     inspection.quantize_nodes, inspection.dequantize_nodes)}}}});
  }
  return document;
}

}  // namespace narrow::apps
