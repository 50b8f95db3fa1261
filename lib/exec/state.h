// Models with a memory: what an output holds after one sample is an input of the next.
#pragma once

#include <string>
#include <vector>

#include "lib/exec/program.h"

namespace narrow::exec {

struct StateLink {
  std::string input;
  std::string output;
};

/// The memory of one run over samples in their order.
class State {
 public:
  State() = default;
  /// All zeros, free dimensions 1. Throws Error(kUsage) if the program has no such input or output, or an input of
  /// unknown rank.
  State(const Program& program, const std::vector<StateLink>& links);

  bool empty() const { return cells_.empty(); }
  /// The feed with the inputs that the memory gives.
  Feed complete(Feed feed) const;
  /// Remembers copies; `outputs` in the program's order.
  void update(const std::vector<Tensor>& outputs);
  /// Of what it remembers.
  int64_t byte_size() const;

 private:
  struct Cell {
    std::string input;
    size_t output = 0;
    Tensor value;
  };
  std::vector<Cell> cells_;
};

}  // namespace narrow::exec
