#include "lib/analyze/groups.h"

#include <algorithm>
#include <numeric>

namespace narrow::analyze {
namespace {

/// Union-find over values numbered in graph order; the root is the earliest value.
class Joiner {
 public:
  size_t number(const std::string& value) {
    const auto [entry, added] = numbers_.emplace(value, parents_.size());
    if (added) {
      parents_.push_back(parents_.size());
      names_.push_back(value);
    }
    return entry->second;
  }
  size_t root(size_t number) const {
    while (parents_[number] != number) number = parents_[number];
    return number;
  }
  void join(const std::string& a, const std::string& b) {
    const size_t first = root(number(a));
    const size_t second = root(number(b));
    parents_[std::max(first, second)] = std::min(first, second);
  }
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::map<std::string, size_t> numbers_;
  std::vector<size_t> parents_;
  std::vector<std::string> names_;
};

bool read_only_by(const graph::GraphIndex& index, const std::string& value, const std::string& node) {
  if (index.is_output(value)) return false;
  const auto uses = index.uses(value);
  return std::all_of(uses.begin(), uses.end(), [&](const graph::Use& use) { return use.node->name() == node; });
}

}  // namespace

void group_values(const graph::Model& model, const graph::GraphIndex& index, Analysis& analysis) {
  Joiner joiner;
  std::map<std::string, bool> derived;  // value -> its statistics are those of other members
  // Numbered in graph order: inputs first, then what each layer reads and makes.
  for (const auto& input : model.graph().input()) {
    const auto type = index.type(input.name()).type;
    if (type == DataType::kFloat32) joiner.number(input.name());
  }
  for (const Layer& layer : analysis.layers) {
    if (layer.reason) continue;
    for (const std::string& value : layer.activations) joiner.number(value);
    for (const std::string& value : layer.outputs) joiner.number(value);
    if (layer.role == ops::QuantRole::kPassThrough) {
      for (const std::string& output : layer.outputs) {
        joiner.join(layer.activations[0], output);
        derived[output] = true;
      }
    }
    if (layer.role != ops::QuantRole::kConcat) continue;
    bool all_joined = true;
    for (const std::string& input : layer.activations) {
      const bool alone = read_only_by(index, input, layer.node) && index.initializer(input) == nullptr;
      if (alone) joiner.join(input, layer.outputs[0]);
      all_joined = all_joined && alone;
    }
    derived[layer.outputs[0]] = all_joined;
  }
  std::map<size_t, size_t> group_of_root;
  for (size_t i = 0; i < joiner.names().size(); ++i) {
    const std::string& value = joiner.names()[i];
    const auto [entry, added] = group_of_root.emplace(joiner.root(i), analysis.groups.size());
    if (added) analysis.groups.push_back({.representative = value, .members = {}, .sources = {}});
    ValueGroup& group = analysis.groups[entry->second];
    group.members.push_back(value);
    if (!derived[value]) group.sources.push_back(value);
    analysis.group_of[value] = entry->second;
  }
}

}  // namespace narrow::analyze
