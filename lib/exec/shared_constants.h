// What bodies compute from large constants that stand around them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "lib/graph/graph_index.h"
#include "lib/tensor/tensor.h"

namespace narrow::exec {

/// Bodies that share a constant read it from one place. Stored in each body, what they compute from it could be many
/// copies: it is worth storing where all of it, equal results once, takes no more room than the constants that go.
class SharedConstants {
 public:
  /// Smaller ones may have copies.
  static constexpr size_t kSmall = 4096;

  /// A large constant that a body reads from around it.
  void add_source(const std::string& value, size_t bytes);
  /// True if one of the values is a source or was computed from one.
  bool any_of(const std::vector<std::string>& values) const;
  /// `output`, computed by a body's node that reads `reads`.
  void add_result(const std::vector<std::string>& reads, const std::string& output, const Tensor& value);

  /// The results that are worth storing; equal ones are copies of one tensor. `index`: of the whole model, bodies too;
  /// `others`: further values that become constants.
  std::map<std::string, Tensor> worth_storing(const graph::GraphIndex& index,
                                              const std::map<std::string, Tensor>& others);

 private:
  struct Room {
    size_t before = 0;
    size_t after = 0;
  };
  const std::string& family_of(const std::string& value) const;
  void join(const std::string& value, const std::string& other);
  bool stays_in_use(const std::string& value, const graph::GraphIndex& index,
                    const std::map<std::string, Tensor>& others) const;
  void unite_equal_results();
  std::map<std::string, Room> rooms(const graph::GraphIndex& index, const std::map<std::string, Tensor>& others) const;

  std::map<std::string, size_t> sources_;
  std::map<std::string, Tensor> results_;
  // Sources and results by one of those that they hang together with: one is stored only if all are.
  std::map<std::string, std::string> parents_;
};

}  // namespace narrow::exec
