// How the elements of a plain tensor fall into groups that share a scale.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lib/quant/quant_params.h"

namespace narrow::quant {

/// Elements [begin, end) of a tensor; the first has the pair number `group`, each following one the pair `step` further
/// (0: all the same, 1: the next).
struct Run {
  size_t begin = 0;
  size_t end = 0;
  size_t group = 0;
  size_t step = 0;
};

class ElementGroups {
 public:
  ElementGroups(const Shape& shape, const Grouping& grouping);

  size_t count() const { return static_cast<size_t>(block_ > 0 ? outer_ * blocks() * inner_ : size_); }

  /// The pair's number of one element.
  size_t group_of(size_t element) const {
    const auto row = static_cast<int64_t>(element) / inner_;
    if (block_ == 0) return static_cast<size_t>(row % size_);
    return static_cast<size_t>((row / size_ * blocks() + row % size_ / block_) * inner_ +
                               static_cast<int64_t>(element) % inner_);
  }

  /// visit(Run) over all elements, in the order of memory.
  template <class Visit>
  void for_each_run(Visit visit) const {
    for (int64_t row = 0; row < outer_ * size_; ++row) {
      const auto begin = static_cast<size_t>(row * inner_);
      const int64_t group = block_ > 0 ? (row / size_ * blocks() + row % size_ / block_) * inner_ : row % size_;
      const size_t step = block_ > 0 && inner_ > 1 ? 1 : 0;
      visit(Run{begin, begin + static_cast<size_t>(inner_), static_cast<size_t>(group), step});
    }
  }

 private:
  int64_t blocks() const { return (size_ + block_ - 1) / block_; }

  // index = (outer * size + i) * inner + j
  int64_t outer_ = 1;
  int64_t size_ = 1;  // of the axis
  int64_t inner_ = 1;
  int64_t block_ = 0;
};

}  // namespace narrow::quant
