// The equation of an Einsum, parsed once and spread over the ranks of its operands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace narrow::exec {

/// Names of axes: a letter, or -1, -2, ... for the axes of an ellipsis counted from the last.
using Labels = std::vector<int>;

struct EinsumTerm {
  Labels before;  // of the ellipsis, or all
  Labels after;
  bool has_ellipsis = false;
};

struct EinsumEquation {
  std::vector<EinsumTerm> operands;
  EinsumTerm result;
};

/// "ij,jk->ik", "...ij->...ji", "ii" and the like; spaces are ignored. Without an arrow the result has the ellipsis,
/// then the letters that occur once, sorted. Throws Error(kModel) for what is no equation.
EinsumEquation parse_einsum(std::string_view text);

/// The labels of a term of `rank` axes. Throws Error(kModel) if the rank does not fit.
Labels labels_of(const EinsumTerm& term, size_t rank);

/// The labels of a result whose ellipsis stands for `ellipsis_axes` axes.
Labels result_labels(const EinsumTerm& term, size_t ellipsis_axes);

}  // namespace narrow::exec
