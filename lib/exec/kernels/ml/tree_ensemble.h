// Decision trees, flat: the nodes of all trees in one array, the weights of all leaves in another.
#pragma once

#include <cstdint>
#include <vector>

#include "lib/exec/kernels/support.h"

namespace narrow::exec {

enum class TreeMode : uint8_t { kLess, kLessOrEqual, kGreater, kGreaterOrEqual, kEqual, kNotEqual, kMember, kLeaf };

struct TreeNode {
  double threshold = 0;
  int32_t feature = 0;  // of a leaf: its first weight
  int32_t yes = -1;     // node where the comparison holds; of a leaf: past its last weight
  int32_t no = -1;
  int32_t members = -1;  // set of kMember
  TreeMode mode = TreeMode::kLeaf;
  bool missing_is_yes = false;  // NaN compares as true
};

struct LeafWeight {
  int32_t target = 0;
  double weight = 0;
};

enum class Aggregation { kSum, kAverage, kMin, kMax };

struct TreeEnsemble {
  std::vector<TreeNode> nodes;
  std::vector<int32_t> roots;
  std::vector<LeafWeight> weights;
  std::vector<std::vector<double>> member_sets;  // sorted
  int64_t targets = 1;
  int64_t features = 0;  // one more than the largest feature that a node asks for
  Aggregation aggregation = Aggregation::kSum;
  std::vector<double> base_values;  // none, or one a target

  /// The leaf where the row ends up in the tree of `root`.
  template <class T>
  const TreeNode& leaf(int32_t root, const T* row) const;

  /// Scores of one row, [targets]; those that no leaf touched are 0 before the base values. `touched` may be empty.
  template <class T>
  void score(const T* row, std::span<double> scores, std::span<bool> touched) const;
};

/// Checks that every node leads to a leaf and that indices fit; fills `features`. Throws Error(kModel).
void check_trees(TreeEnsemble& trees);

/// Of TreeEnsembleClassifier and TreeEnsembleRegressor ("class" or "target": the prefix of the leaves' attributes).
TreeEnsemble read_legacy_trees(const KernelRequest& request, const std::string& prefix);
/// Of TreeEnsemble 5.
TreeEnsemble read_trees(const KernelRequest& request);

}  // namespace narrow::exec
