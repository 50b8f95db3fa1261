// A batch cut into parts along the axis of samples, for programs that treat samples apart.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "lib/tensor/tensor.h"
#include "lib/tensor/workspace.h"

namespace narrow::exec {

class SpareWorkspaces {
 public:
  /// `one_by_one`: a batch is cut into its samples, always; else into a part for each thread.
  explicit SpareWorkspaces(bool one_by_one) : one_by_one_(one_by_one) {}
  bool one_by_one() const { return one_by_one_; }
  std::unique_ptr<Workspace> take();
  void give_back(std::unique_ptr<Workspace> workspace);

 private:
  const bool one_by_one_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

/// The length of the inputs' common axis 0; 0 if there is none.
size_t sample_count(const std::vector<Tensor>& inputs);

/// Into how many parts a batch of these inputs is cut for so many threads: one for each, or 1 where the inputs have
/// no common axis 0, or too few samples for all threads to be busy.
size_t batch_parts(const std::vector<Tensor>& inputs, size_t threads);

/// The inputs of one part; they share storage with the whole.
std::vector<Tensor> rows_of_part(const std::vector<Tensor>& inputs, size_t part, size_t parts);

/// Outputs of all parts, one below the other.
std::vector<Tensor> join_parts(const std::vector<std::vector<Tensor>>& parts, Workspace& workspace);

}  // namespace narrow::exec
