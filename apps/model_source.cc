#include "apps/model_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "lib/base/file.h"
#include "lib/exec/float_program.h"
#include "lib/graph/graph_index.h"
#include "lib/graph/local_functions.h"
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

/// Tells what became of nodes from one form of a model to the next.
class Losses {
 public:
  explicit Losses(const graph::Model& loaded) : nodes_(nodes_of(loaded)) {}

  void step(const graph::Model& model, plan::Fate fate) {
    std::vector<Node> next = nodes_of(model);
    std::set<std::string> there;
    std::set<std::string> made;
    for (const Node& node : next) {
      there.insert(node.name);
      made.insert(node.outputs.begin(), node.outputs.end());
    }
    for (const Node& node : nodes_) {
      // Names are given late, and by outputs, which may by then be made by other operators.
      const bool renamed =
          node.unnamed && std::any_of(node.outputs.begin(), node.outputs.end(),
                                      [&](const std::string& output) { return made.contains(output); });
      if (renamed || there.contains(node.name)) continue;
      lost_[fate_of(node.op_type, fate)].push_back(node.name);
    }
    nodes_ = std::move(next);
  }

  std::vector<plan::PreparedNodes> groups() {
    std::vector<plan::PreparedNodes> result;
    for (auto& [fate, nodes] : lost_) result.push_back({fate, std::move(nodes)});
    return result;
  }

 private:
  struct Node {
    std::string name;
    bool unnamed = false;
    std::string op_type;
    std::vector<std::string> outputs;
  };

  /// Folding takes out nodes that only pass on what they read, too.
  static plan::Fate fate_of(const std::string& op_type, plan::Fate fate) {
    if (op_type == "Constant") return plan::Fate::kComputedOnce;
    return op_type == "Dropout" || op_type == "Identity" ? plan::Fate::kReplaced : fate;
  }

  static std::vector<Node> nodes_of(const graph::Model& model) {
    std::vector<Node> nodes;
    graph::for_each_node(model.graph(), [&](const onnx::NodeProto& node) {
      nodes.push_back(
          {graph::node_label(node), node.name().empty(), node.op_type(), {node.output().begin(), node.output().end()}});
    });
    return nodes;
  }

  std::vector<Node> nodes_;
  std::map<plan::Fate, std::vector<std::string>> lost_;
};

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

graph::Model normalize(const graph::Model& loaded, Stages& stages, std::vector<plan::PreparedNodes>* prepared) {
  std::optional<Losses> losses;
  if (prepared != nullptr) losses.emplace(loaded);
  const auto step = [&](const graph::Model& model, plan::Fate fate) {
    if (losses) losses->step(model, fate);
  };
  graph::Model model = stages.run("prepare", [&] {
    graph::Model uniform = rewrite::prepare(loaded);
    io::infer_shapes(uniform);  // the version converter drops shapes, and without them nothing folds
    return uniform;
  });
  step(model, plan::Fate::kReplaced);
  const auto constants = stages.run("fold constants", [&] {
    model = rewrite::view_weights(model);
    return exec::fold_constants(model);
  });
  if (!constants.empty()) {
    model = rewrite::apply_constants(model, constants);
    io::infer_shapes(model);
  }
  step(model, plan::Fate::kComputedOnce);
  model = stages.run("fold linear", [&] {
    const graph::Model folded = rewrite::fold_linear(model);
    step(folded, plan::Fate::kFolded);
    graph::Model dense = rewrite::dense_heads(folded);
    io::infer_shapes(dense);
    return dense;
  });
  step(model, plan::Fate::kReplaced);
  if (losses) *prepared = losses->groups();
  return model;
}

std::vector<calib::InputSpec> model_inputs(const graph::Model& model) {
  const graph::GraphIndex index(model.graph());
  std::vector<calib::InputSpec> inputs;
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    if (index.initializer(input.name()) != nullptr) continue;  // a default, as old files give it
    const graph::DeclaredValue declared = graph::declared_value(input.type());
    inputs.push_back({.name = input.name(),
                      .type = declared.type,
                      .shape = declared.shape,
                      .form = declared.form,
                      .of_sequences = declared.of_sequences});
  }
  return inputs;
}

void feed_defaults(graph::Model& model, const std::string& data) {
  std::set<std::string> defaults;
  const graph::GraphIndex index(model.graph());
  for (const onnx::ValueInfoProto& input : model.graph().input()) {
    if (index.initializer(input.name()) != nullptr) defaults.insert(input.name());
  }
  if (defaults.empty() || data.empty()) return;
  const std::set<std::string> fed = calib::array_names(data);
  auto& initializers = *model.mutable_graph().mutable_initializer();
  const auto kept = std::remove_if(initializers.begin(), initializers.end(), [&](const onnx::TensorProto& tensor) {
    return defaults.contains(tensor.name()) && fed.contains(tensor.name());
  });
  if (kept == initializers.end()) return;
  initializers.erase(kept, initializers.end());
  model.mutable_graph().clear_value_info();  // what followed from the default's value no longer holds
  io::infer_shapes(model);
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
  const auto look_at = [&](const onnx::NodeProto& node) { count += node.op_type() == op_type ? 1 : 0; };
  graph::for_each_node(model.graph(), look_at);
  for (const onnx::FunctionProto& function : model.proto().functions()) {
    for (const onnx::NodeProto& node : function.node()) look_at(node);
  }
  return count;
}

std::optional<std::string> quantized_operator(const graph::Model& model) {
  std::optional<std::string> found;
  const auto look_at = [&](const onnx::NodeProto& node) {
    const std::string& op_type = node.op_type();
    const bool listed =
        std::find(kQuantizedOperators.begin(), kQuantizedOperators.end(), op_type) != kQuantizedOperators.end();
    if (!found && (listed || op_type.starts_with("QLinear"))) found = op_type;
  };
  graph::for_each_node(model.graph(), look_at);
  for (const onnx::FunctionProto& function : model.proto().functions()) {
    for (const onnx::NodeProto& node : function.node()) look_at(node);
  }
  return found;
}

}  // namespace narrow::apps
