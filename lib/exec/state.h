// Models with a memory: what an output holds after one sample is an input of the next.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/exec/program.h"

namespace narrow::exec {

/// Of the state that the first sample gets.
struct StateDimension {
  int64_t size = 1;
  std::string input = {};  // "" or: as large as this dimension of that input of the first sample
  size_t axis = 0;
};

struct StateLink {
  std::string input;
  std::string output;
  std::vector<StateDimension> first = {};  // one for each dimension; empty: as declared, free ones 1
};

/// The memory of one run over samples in their order.
class State {
 public:
  State() = default;
  /// All zeros. Throws Error(kUsage) if the program has no such input or output, or an input of unknown rank.
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
    DataType type = DataType::kFloat32;
    std::vector<StateDimension> first;
    std::optional<Tensor> value = {};  // absent: nothing is remembered yet
  };
  static Tensor zeros(const Cell& cell, const Feed& feed);

  std::vector<Cell> cells_;
};

}  // namespace narrow::exec
