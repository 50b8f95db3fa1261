#include "lib/exec/kernels/ml/tree_ensemble.h"

#include <cmath>

namespace narrow::exec {
namespace {

bool holds(const TreeEnsemble& trees, const TreeNode& node, double x) {
  switch (node.mode) {
    case TreeMode::kLess:
      return x < node.threshold;
    case TreeMode::kLessOrEqual:
      return x <= node.threshold;
    case TreeMode::kGreater:
      return x > node.threshold;
    case TreeMode::kGreaterOrEqual:
      return x >= node.threshold;
    case TreeMode::kEqual:
      return x == node.threshold;
    case TreeMode::kNotEqual:
      return x != node.threshold;
    case TreeMode::kMember: {
      const auto& set = trees.member_sets[static_cast<size_t>(node.members)];
      return std::binary_search(set.begin(), set.end(), x);
    }
    case TreeMode::kLeaf:
      break;
  }
  return false;
}

void aggregate(Aggregation aggregation, double weight, bool first, double& score) {
  if (aggregation == Aggregation::kMin) {
    score = first ? weight : std::min(score, weight);
  } else if (aggregation == Aggregation::kMax) {
    score = first ? weight : std::max(score, weight);
  } else {
    score += weight;
  }
}

}  // namespace

template <class T>
const TreeNode& TreeEnsemble::leaf(int32_t root, const T* row) const {
  const TreeNode* node = &nodes[static_cast<size_t>(root)];
  while (node->mode != TreeMode::kLeaf) {
    const auto x = static_cast<double>(row[node->feature]);
    const bool yes = holds(*this, *node, x) || (node->missing_is_yes && std::isnan(x));
    node = &nodes[static_cast<size_t>(yes ? node->yes : node->no)];
  }
  return *node;
}

template <class T>
void TreeEnsemble::score(const T* row, std::span<double> scores, std::span<bool> touched) const {
  std::fill(scores.begin(), scores.end(), 0.0);
  std::fill(touched.begin(), touched.end(), false);
  for (const int32_t root : roots) {
    const TreeNode& end = leaf(root, row);
    for (int32_t i = end.feature; i < end.yes; ++i) {
      const LeafWeight& entry = weights[static_cast<size_t>(i)];
      const auto target = static_cast<size_t>(entry.target);
      aggregate(aggregation, entry.weight, !touched[target], scores[target]);
      touched[target] = true;
    }
  }
  for (size_t i = 0; i < scores.size(); ++i) {
    if (aggregation == Aggregation::kAverage) scores[i] /= static_cast<double>(roots.size());
    if (!base_values.empty()) scores[i] += base_values[i];
  }
}

template void TreeEnsemble::score(const float*, std::span<double>, std::span<bool>) const;
template void TreeEnsemble::score(const double*, std::span<double>, std::span<bool>) const;

void check_trees(TreeEnsemble& trees) {
  const auto count = static_cast<int32_t>(trees.nodes.size());
  // Each node once from the roots on: shared or circular nodes would never end, or repeat work without bound.
  std::vector<bool> seen(trees.nodes.size(), false);
  std::vector<int32_t> open = trees.roots;
  while (!open.empty()) {
    const int32_t at = open.back();
    open.pop_back();
    if (at < 0 || at >= count || seen[static_cast<size_t>(at)]) {
      throw Error(ErrorKind::kModel, "node {} of a tree is missing or reached twice", at);
    }
    seen[static_cast<size_t>(at)] = true;
    const TreeNode& node = trees.nodes[static_cast<size_t>(at)];
    if (node.mode == TreeMode::kLeaf) continue;
    if (node.feature < 0) throw Error(ErrorKind::kModel, "a node asks for feature {}", node.feature);
    trees.features = std::max<int64_t>(trees.features, node.feature + 1);
    open.push_back(node.yes);
    open.push_back(node.no);
  }
  for (const LeafWeight& weight : trees.weights) {
    if (weight.target < 0 || weight.target >= trees.targets) {
      throw Error(ErrorKind::kModel, "a leaf of target {} of {}", weight.target, trees.targets);
    }
  }
  const auto bases = static_cast<int64_t>(trees.base_values.size());
  if (bases == 1) trees.base_values.assign(static_cast<size_t>(trees.targets), trees.base_values[0]);
  if (bases > 1 && bases != trees.targets) {
    throw Error(ErrorKind::kModel, "{} base values for {} targets", bases, trees.targets);
  }
}

}  // namespace narrow::exec
