#include "lib/plan/integer_io.h"

#include <algorithm>

#include "lib/base/error.h"
#include "lib/base/suggest.h"

namespace narrow::plan {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

WantedIo::WantedIo(const graph::Model& model, const graph::GraphIndex& index, const IntegerIo& wanted)
    : graph_(model.graph()), index_(index), wanted_(wanted) {
  const auto add = [&](const auto& infos, bool all, std::set<std::string>& found) {
    for (const onnx::ValueInfoProto& info : infos) {
      const bool constant = index_.initializer(info.name()) != nullptr;
      if (!constant && (all || contains(wanted.names, info.name()))) found.insert(info.name());
    }
  };
  add(graph_.input(), wanted.inputs, inputs_);
  add(graph_.output(), wanted.outputs, outputs_);
  for (const std::string& name : wanted.names) {
    if (inputs_.contains(name) || outputs_.contains(name)) continue;
    std::vector<std::string> known;
    for (const auto* infos : {&graph_.input(), &graph_.output()}) {
      for (const onnx::ValueInfoProto& info : *infos) known.push_back(info.name());
    }
    throw Error(ErrorKind::kUsage, "{}integer_io: the model has no input or output '{}'{}", place_text(), name,
                suggestion(name, known));
  }
}

std::string WantedIo::place_text() const {
  return wanted_.place.empty() ? "" : wanted_.place + ": ";
}

std::vector<std::string> WantedIo::found(const std::vector<LayerPlan>& layers) const {
  std::set<std::string> reads;
  std::set<std::string> makes;
  for (const LayerPlan& layer : layers) {
    if (index_.graph_of(*index_.node(layer.node)) != &graph_) continue;
    reads.insert(layer.activations.begin(), layer.activations.end());
    makes.insert(layer.outputs.begin(), layer.outputs.end());
  }
  std::vector<std::string> result;
  std::set_intersection(inputs_.begin(), inputs_.end(), reads.begin(), reads.end(), std::back_inserter(result));
  std::set_intersection(outputs_.begin(), outputs_.end(), makes.begin(), makes.end(), std::back_inserter(result));
  for (const std::string& name : wanted_.names) {
    if (contains(result, name)) continue;
    throw Error(ErrorKind::kUsage, "{}integer_io: nothing on integers {} '{}'", place_text(),
                inputs_.contains(name) ? "reads" : "makes", name);
  }
  return result;
}

}  // namespace narrow::plan
