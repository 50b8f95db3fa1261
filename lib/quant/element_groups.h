// How the elements of a plain tensor fall into groups that share a scale.
#pragma once

#include <algorithm>
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

  /// Of the tensor.
  size_t elements() const { return static_cast<size_t>(outer_ * size_ * inner_); }

  /// Groups.
  size_t count() const { return static_cast<size_t>(block_ > 0 ? outer_ * blocks() * inner_ : size_); }

  /// The pair's number of one element.
  size_t group_of(size_t element) const {
    const auto row = static_cast<int64_t>(element) / inner_;
    if (block_ == 0) return static_cast<size_t>(row % size_);
    return static_cast<size_t>((row / size_ * blocks() + row % size_ / block_) * inner_ +
                               static_cast<int64_t>(element) % inner_);
  }

  /// visit(Run) over elements [begin, end), in the order of memory, with as few runs as there can be.
  template <class Visit>
  void for_each_run(size_t begin, size_t end, Visit visit) const {
    while (begin < end) {
      Run run = run_around(begin);
      run.group += (begin - run.begin) * run.step;
      run.begin = begin;
      run.end = std::min(run.end, end);
      visit(run);
      begin = run.end;
    }
  }
  /// ... over all elements.
  template <class Visit>
  void for_each_run(Visit visit) const {
    for_each_run(0, elements(), visit);
  }

 private:
  int64_t blocks() const { return (size_ + block_ - 1) / block_; }

  /// The longest run that an element is in.
  Run run_around(size_t element) const {
    const auto at = static_cast<int64_t>(element);
    int64_t begin = at / inner_ * inner_;
    int64_t count = inner_;
    size_t step = block_ > 0 && inner_ > 1 ? 1 : 0;
    if (inner_ == 1 && block_ > 0) {
      const int64_t row = at / size_ * size_;
      begin = row + (at - row) / block_ * block_;
      count = std::min(block_, row + size_ - begin);
    } else if (inner_ == 1) {
      begin = at / size_ * size_;
      count = size_;
      step = 1;
    }
    const auto first = static_cast<size_t>(begin);
    return {first, first + static_cast<size_t>(count), group_of(first), step};
  }

  // index = (outer * size + i) * inner + j
  int64_t outer_ = 1;
  int64_t size_ = 1;  // of the axis
  int64_t inner_ = 1;
  int64_t block_ = 0;
};

}  // namespace narrow::quant
