#include "apps/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "lib/base/file.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/traverse.h"
#include "lib/io/load.h"
#include "lib/io/old_opset.h"
#include "lib/rewrite/normalize.h"
#include "lib/tensor/data_type.h"

namespace narrow::apps {
namespace {

namespace fs = std::filesystem;

int64_t tensor_bytes(const onnx::TensorProto& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.dims()) count *= size;
  return static_cast<int64_t>(storage_bytes(static_cast<DataType>(tensor.data_type()), count));
}

/// The files that hold the model's tensors; one of them may be the model's own.
std::set<fs::path> external_files(const graph::Model& model, const fs::path& folder) {
  std::set<fs::path> files;
  graph::for_each_tensor(model.graph(), [&](const onnx::TensorProto& tensor) {
    if (tensor.data_location() != onnx::TensorProto::EXTERNAL) return;
    for (const auto& entry : tensor.external_data()) {
      if (entry.key() == "location") files.insert(folder / entry.value());
    }
  });
  return files;
}

// Sorted by name; the QLinear operators are told by theirs.
constexpr std::array<std::string_view, 10> kQuantizedOperators{"ConvInteger",
                                                               "DequantizeLinear",
                                                               "DynamicQuantizeLSTM",
                                                               "DynamicQuantizeLinear",
                                                               "DynamicQuantizeMatMul",
                                                               "MatMulInteger",
                                                               "MatMulIntegerToFloat",
                                                               "QAttention",
                                                               "QGemm",
                                                               "QuantizeLinear"};

}  // namespace

ModelSource open_model(const std::string& path, const std::vector<NamedPath>& outputs, Stages& stages) {
  graph::Model loaded = stages.run("load", [&] { return io::load_model(path); });
  std::set<fs::path> all = external_files(loaded, fs::path(path).parent_path());
  refuse_overwriting(outputs, fmt::format("external data of the model '{}'", path), {all.begin(), all.end()});
  all.insert(path);
  const std::vector<fs::path> files(all.begin(), all.end());
  const int file_opset = io::opset_of_file(path);
  return stages.run("hash model", [&] {
    report::ModelFacts facts;
    facts.path = path;
    facts.sha256 = hash_files(files);
    facts.file_bytes = total_bytes(files);
    facts.weight_bytes = weight_bytes(loaded);
    return ModelSource{std::move(loaded), std::move(facts), file_opset};
  });
}

std::optional<std::string> raised_opset_note(const ModelSource& source) {
  const int opset = source.loaded.opset();
  if (source.file_opset == 0 || source.file_opset == opset) return std::nullopt;
  return fmt::format("opset {} of the file was raised to {}", source.file_opset, opset);
}

graph::Model normalize(const graph::Model& loaded, Stages& stages) {
  graph::Model model = stages.run("prepare", [&] {
    graph::Model prepared = rewrite::prepare(loaded);
    io::infer_shapes(prepared);  // the version converter drops shapes, and without them nothing folds
    return prepared;
  });
  const auto constants = stages.run("fold constants", [&] { return exec::fold_constants(model); });
  if (!constants.empty()) {
    model = rewrite::apply_constants(model, constants);
    io::infer_shapes(model);
  }
  return stages.run("fold linear", [&] {
    graph::Model folded = rewrite::dense_heads(rewrite::fold_linear(model));
    io::infer_shapes(folded);
    return folded;
  });
}

std::vector<calib::InputSpec> model_inputs(const graph::Model& model) {
  const graph::GraphIndex index(model.graph());
  std::vector<calib::InputSpec> inputs;
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    if (index.initializer(input.name()) != nullptr) continue;  // a default, as old files give it
    const graph::ValueType type = index.type(input.name());
    inputs.push_back({.name = input.name(), .type = type.type, .shape = type.shape});
  }
  return inputs;
}

int64_t weight_bytes(const graph::Model& model) {
  int64_t bytes = 0;
  graph::for_each_graph(model.graph(), [&](const onnx::GraphProto& graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) bytes += tensor_bytes(tensor);
    for (const onnx::NodeProto& node : graph.node()) {
      if (node.op_type() != "Constant") continue;
      for (const onnx::AttributeProto& attribute : node.attribute()) {
        if (attribute.has_t()) bytes += tensor_bytes(attribute.t());
      }
    }
  });
  return bytes;
}

int64_t count_nodes(const graph::Model& model, std::string_view op_type) {
  int64_t count = 0;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) { count += node.op_type() == op_type ? 1 : 0; });
  return count;
}

std::optional<std::string> quantized_operator(const graph::Model& model) {
  std::optional<std::string> found;
  graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
    const std::string& op_type = node.op_type();
    const bool listed =
        std::find(kQuantizedOperators.begin(), kQuantizedOperators.end(), op_type) != kQuantizedOperators.end();
    if (!found && (listed || op_type.starts_with("QLinear"))) found = op_type;
  });
  return found;
}

}  // namespace narrow::apps
