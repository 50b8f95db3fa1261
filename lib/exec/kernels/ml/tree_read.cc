// Trees from the attributes of the three operators.
#include <cmath>
#include <map>

#include "lib/exec/kernels/ml/tree_ensemble.h"
#include "lib/graph/model.h"

namespace narrow::exec {
namespace {

// "name", or "name_as_tensor" of float64.
std::vector<double> numbers_of(const onnx::NodeProto& node, const std::string& name) {
  std::vector<double> result;
  const auto* tensor = graph::find_attribute(node, name + "_as_tensor");
  if (tensor == nullptr) {
    for (const float value : graph::floats_attribute(node, name)) result.push_back(static_cast<double>(value));
    return result;
  }
  const Tensor values = graph::embedded_tensor(tensor->t());
  dispatch_type(FloatTypes(), values.type(), [&]<class T>() {
    for (const T value : values.data<T>()) result.push_back(static_cast<double>(value));
  });
  return result;
}

std::vector<double> tensor_numbers(const onnx::NodeProto& node, const std::string& name) {
  const auto* attribute = graph::find_attribute(node, name);
  if (attribute == nullptr) return {};
  const Tensor given = graph::embedded_tensor(attribute->t());
  std::vector<double> result;
  if (given.type() == DataType::kFloat64) {
    result.assign(given.data<double>().begin(), given.data<double>().end());
    return result;
  }
  const Tensor values = to_float32(given);
  for (const float value : values.data<float>()) result.push_back(static_cast<double>(value));
  return result;
}

TreeMode mode_of(const KernelRequest& request, const std::string& name) {
  static const std::map<std::string, TreeMode, std::less<>> modes{{"BRANCH_LEQ", TreeMode::kLessOrEqual},
                                                                  {"BRANCH_LT", TreeMode::kLess},
                                                                  {"BRANCH_GTE", TreeMode::kGreaterOrEqual},
                                                                  {"BRANCH_GT", TreeMode::kGreater},
                                                                  {"BRANCH_EQ", TreeMode::kEqual},
                                                                  {"BRANCH_NEQ", TreeMode::kNotEqual},
                                                                  {"LEAF", TreeMode::kLeaf}};
  const auto found = modes.find(name);
  if (found == modes.end()) refuse(request, "unknown node mode '" + name + "'");
  return found->second;
}

Aggregation aggregation_of(const KernelRequest& request) {
  const std::string name = graph::string_attribute(*request.node, "aggregate_function", "SUM");
  if (name == "SUM") return Aggregation::kSum;
  if (name == "AVERAGE") return Aggregation::kAverage;
  if (name == "MIN") return Aggregation::kMin;
  if (name == "MAX") return Aggregation::kMax;
  refuse(request, "unknown aggregate_function '" + name + "'");
}

using NodeKey = std::pair<int64_t, int64_t>;  // tree, node

struct LegacyNodes {
  std::vector<int64_t> trees;
  std::vector<int64_t> ids;
  std::vector<int64_t> features;
  std::vector<int64_t> yes;
  std::vector<int64_t> no;
  std::vector<int64_t> missing;
  std::vector<double> values;
  std::vector<std::string> modes;
  std::map<NodeKey, int32_t> index;

  int32_t at(const KernelRequest& request, int64_t tree, int64_t id) const {
    const auto found = index.find({tree, id});
    if (found == index.end()) refuse(request, fmt::format("tree {} has no node {}", tree, id));
    return found->second;
  }
};

LegacyNodes legacy_nodes(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  LegacyNodes nodes{.trees = graph::ints_attribute(node, "nodes_treeids"),
                    .ids = graph::ints_attribute(node, "nodes_nodeids"),
                    .features = graph::ints_attribute(node, "nodes_featureids"),
                    .yes = graph::ints_attribute(node, "nodes_truenodeids"),
                    .no = graph::ints_attribute(node, "nodes_falsenodeids"),
                    .missing = graph::ints_attribute(node, "nodes_missing_value_tracks_true"),
                    .values = numbers_of(node, "nodes_values"),
                    .modes = graph::strings_attribute(node, "nodes_modes"),
                    .index = {}};
  const size_t count = nodes.ids.size();
  for (const size_t other : {nodes.trees.size(), nodes.features.size(), nodes.yes.size(), nodes.no.size(),
                             nodes.values.size(), nodes.modes.size()}) {
    if (other != count) refuse(request, "lists of nodes of different length");
  }
  if (!nodes.missing.empty() && nodes.missing.size() != count) refuse(request, "nodes_missing_value_tracks_true");
  for (size_t i = 0; i < count; ++i) {
    if (!nodes.index.emplace(NodeKey(nodes.trees[i], nodes.ids[i]), static_cast<int32_t>(i)).second) {
      refuse(request, fmt::format("tree {} has node {} twice", nodes.trees[i], nodes.ids[i]));
    }
  }
  return nodes;
}

// Roots are the nodes that no other leads to.
void add_legacy_nodes(const KernelRequest& request, const LegacyNodes& nodes, TreeEnsemble& trees) {
  std::vector<bool> is_child(nodes.ids.size(), false);
  for (size_t i = 0; i < nodes.ids.size(); ++i) {
    TreeNode node{.threshold = nodes.values[i],
                  .feature = static_cast<int32_t>(nodes.features[i]),
                  .mode = mode_of(request, nodes.modes[i]),
                  .missing_is_yes = !nodes.missing.empty() && nodes.missing[i] != 0};
    if (node.mode == TreeMode::kLeaf) {
      node.feature = 0;
      node.yes = 0;
    } else {
      node.yes = nodes.at(request, nodes.trees[i], nodes.yes[i]);
      node.no = nodes.at(request, nodes.trees[i], nodes.no[i]);
      is_child[static_cast<size_t>(node.yes)] = true;
      is_child[static_cast<size_t>(node.no)] = true;
    }
    trees.nodes.push_back(node);
  }
  for (size_t i = 0; i < is_child.size(); ++i) {
    if (!is_child[i]) trees.roots.push_back(static_cast<int32_t>(i));
  }
}

}  // namespace

TreeEnsemble read_legacy_trees(const KernelRequest& request, const std::string& prefix) {
  const onnx::NodeProto& node = *request.node;
  TreeEnsemble trees{.targets = graph::int_attribute(node, "n_targets", 1),
                     .aggregation = aggregation_of(request),
                     .base_values = numbers_of(node, "base_values")};
  const LegacyNodes nodes = legacy_nodes(request);
  add_legacy_nodes(request, nodes, trees);
  const std::vector<int64_t> tree_ids = graph::ints_attribute(node, prefix + "_treeids");
  const std::vector<int64_t> node_ids = graph::ints_attribute(node, prefix + "_nodeids");
  const std::vector<int64_t> targets = graph::ints_attribute(node, prefix + "_ids");
  const std::vector<double> weights = numbers_of(node, prefix + "_weights");
  if (tree_ids.size() != node_ids.size() || targets.size() != node_ids.size() || weights.size() != node_ids.size()) {
    refuse(request, "lists of leaves of different length");
  }
  // The weights of a leaf side by side, in the order in which they are listed.
  std::map<int32_t, std::vector<LeafWeight>> by_leaf;
  for (size_t i = 0; i < targets.size(); ++i) {
    const int32_t leaf = nodes.at(request, tree_ids[i], node_ids[i]);
    if (trees.nodes[static_cast<size_t>(leaf)].mode != TreeMode::kLeaf) refuse(request, "a weight of an inner node");
    by_leaf[leaf].push_back({static_cast<int32_t>(targets[i]), weights[i]});
  }
  for (const auto& [leaf, list] : by_leaf) {
    TreeNode& at = trees.nodes[static_cast<size_t>(leaf)];
    at.feature = static_cast<int32_t>(trees.weights.size());
    trees.weights.insert(trees.weights.end(), list.begin(), list.end());
    at.yes = static_cast<int32_t>(trees.weights.size());
  }
  return trees;
}

namespace {

// Values up to a NaN belong to one node; sets come in the order in which the nodes are reached, yes before no.
void assign_member_sets(const std::vector<double>& values, TreeEnsemble& trees) {
  size_t next = 0;
  std::vector<int32_t> open(trees.roots.rbegin(), trees.roots.rend());
  while (!open.empty()) {
    TreeNode& node = trees.nodes[static_cast<size_t>(open.back())];
    open.pop_back();
    if (node.mode == TreeMode::kLeaf) continue;
    if (node.mode == TreeMode::kMember) {
      std::vector<double> set;
      while (next < values.size() && !std::isnan(values[next])) set.push_back(values[next++]);
      if (next == values.size()) throw Error(ErrorKind::kModel, "membership_values are missing");
      ++next;
      std::sort(set.begin(), set.end());
      node.members = static_cast<int32_t>(trees.member_sets.size());
      trees.member_sets.push_back(std::move(set));
    }
    open.push_back(node.no);
    open.push_back(node.yes);
  }
}

TreeMode numbered_mode(const KernelRequest& request, int64_t number) {
  constexpr std::array kModes{TreeMode::kLessOrEqual, TreeMode::kLess,  TreeMode::kGreaterOrEqual,
                              TreeMode::kGreater,     TreeMode::kEqual, TreeMode::kNotEqual,
                              TreeMode::kMember};
  if (number < 0 || number >= static_cast<int64_t>(kModes.size())) refuse(request, "unknown node mode");
  return kModes[static_cast<size_t>(number)];
}

}  // namespace

TreeEnsemble read_trees(const KernelRequest& request) {
  const onnx::NodeProto& node = *request.node;
  TreeEnsemble trees{.targets = graph::int_attribute(node, "n_targets", 1)};
  const auto ints = [&](const char* name) { return graph::ints_attribute(node, name); };
  const auto features = ints("nodes_featureids");
  const auto yes = ints("nodes_truenodeids");
  const auto no = ints("nodes_falsenodeids");
  const auto yes_is_leaf = ints("nodes_trueleafs");
  const auto no_is_leaf = ints("nodes_falseleafs");
  const auto missing = ints("nodes_missing_value_tracks_true");
  const auto targets = ints("leaf_targetids");
  const auto splits = tensor_numbers(node, "nodes_splits");
  const auto modes = tensor_numbers(node, "nodes_modes");
  const auto weights = tensor_numbers(node, "leaf_weights");
  const size_t count = features.size();
  for (const size_t other :
       {yes.size(), no.size(), yes_is_leaf.size(), no_is_leaf.size(), splits.size(), modes.size()}) {
    if (other != count) refuse(request, "lists of nodes of different length");
  }
  if (targets.size() != weights.size()) refuse(request, "lists of leaves of different length");
  // Leaves stand behind the inner nodes. Several nodes may lead to one leaf, so each gets a copy of its own.
  const auto leaf_of = [&](int64_t leaf) {
    if (leaf < 0 || leaf >= static_cast<int64_t>(targets.size())) refuse(request, "a leaf that is not there");
    const auto first = static_cast<int32_t>(leaf);
    trees.nodes.push_back({.feature = first, .yes = first + 1});
    return static_cast<int32_t>(trees.nodes.size()) - 1;
  };
  trees.nodes.resize(count);
  for (size_t i = 0; i < count; ++i) {
    // The call may move the array: no reference into it is kept across.
    TreeNode inner{.threshold = splits[i],
                   .feature = static_cast<int32_t>(features[i]),
                   .mode = numbered_mode(request, static_cast<int64_t>(modes[i])),
                   .missing_is_yes = i < missing.size() && missing[i] != 0};
    inner.yes = yes_is_leaf[i] != 0 ? leaf_of(yes[i]) : static_cast<int32_t>(yes[i]);
    inner.no = no_is_leaf[i] != 0 ? leaf_of(no[i]) : static_cast<int32_t>(no[i]);
    trees.nodes[i] = inner;
  }
  for (const int64_t root : ints("tree_roots")) trees.roots.push_back(static_cast<int32_t>(root));
  for (size_t i = 0; i < targets.size(); ++i) {
    trees.weights.push_back({static_cast<int32_t>(targets[i]), weights[i]});
  }
  const int64_t aggregation = graph::int_attribute(node, "aggregate_function", 1);
  constexpr std::array kAggregations{Aggregation::kAverage, Aggregation::kSum, Aggregation::kMin, Aggregation::kMax};
  if (aggregation < 0 || aggregation > 3) refuse(request, "unknown aggregate_function");
  trees.aggregation = kAggregations[static_cast<size_t>(aggregation)];
  check_trees(trees);
  assign_member_sets(tensor_numbers(node, "membership_values"), trees);
  return trees;
}

}  // namespace narrow::exec
