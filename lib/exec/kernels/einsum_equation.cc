#include "lib/exec/kernels/einsum_equation.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "lib/base/error.h"

namespace narrow::exec {
namespace {

EinsumTerm parse_term(std::string_view text) {
  EinsumTerm term;
  while (!text.empty()) {
    if (text.starts_with("...")) {
      if (term.has_ellipsis) throw Error(ErrorKind::kModel, "two ellipses in one term of the equation");
      term.has_ellipsis = true;
      text.remove_prefix(3);
      continue;
    }
    const char letter = text.front();
    if (std::isalpha(static_cast<unsigned char>(letter)) == 0) {
      throw Error(ErrorKind::kModel, "'{}' in the equation", letter);
    }
    (term.has_ellipsis ? term.after : term.before).push_back(letter);
    text.remove_prefix(1);
  }
  return term;
}

EinsumTerm implicit_result(const std::vector<EinsumTerm>& operands) {
  std::map<int, int> uses;
  EinsumTerm result;
  for (const EinsumTerm& operand : operands) {
    result.has_ellipsis = result.has_ellipsis || operand.has_ellipsis;
    for (const int label : operand.before) ++uses[label];
    for (const int label : operand.after) ++uses[label];
  }
  for (const auto& [label, count] : uses) {
    if (count == 1) result.after.push_back(label);
  }
  return result;
}

void check_result(const EinsumEquation& equation) {
  Labels labels = equation.result.before;
  labels.insert(labels.end(), equation.result.after.begin(), equation.result.after.end());
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool known = std::any_of(equation.operands.begin(), equation.operands.end(), [&](const EinsumTerm& operand) {
      return std::count(operand.before.begin(), operand.before.end(), labels[i]) +
                 std::count(operand.after.begin(), operand.after.end(), labels[i]) >
             0;
    });
    const bool again = std::find(labels.begin(), labels.begin() + static_cast<int64_t>(i), labels[i]) !=
                       labels.begin() + static_cast<int64_t>(i);
    if (!known || again) {
      throw Error(ErrorKind::kModel, "'{}' of the result is {}", static_cast<char>(labels[i]),
                  again ? "named twice" : "in no operand");
    }
  }
}

}  // namespace

EinsumEquation parse_einsum(std::string_view text) {
  std::string compact;
  std::copy_if(text.begin(), text.end(), std::back_inserter(compact), [](char c) { return c != ' '; });
  std::string_view left = compact;
  EinsumEquation equation;
  const size_t arrow = compact.find("->");
  if (arrow != std::string::npos) left = left.substr(0, arrow);
  for (;;) {
    const size_t comma = left.find(',');
    equation.operands.push_back(parse_term(left.substr(0, comma)));
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  equation.result = arrow == std::string::npos ? implicit_result(equation.operands)
                                               : parse_term(std::string_view(compact).substr(arrow + 2));
  check_result(equation);
  return equation;
}

Labels labels_of(const EinsumTerm& term, size_t rank) {
  const size_t named = term.before.size() + term.after.size();
  if (named > rank || (!term.has_ellipsis && named != rank)) {
    throw Error(ErrorKind::kModel, "an operand of rank {} for a term of {} axes", rank, named);
  }
  return result_labels(term, rank - named);
}

Labels result_labels(const EinsumTerm& term, size_t ellipsis_axes) {
  Labels labels = term.before;
  if (term.has_ellipsis) {
    for (auto axis = static_cast<int>(ellipsis_axes); axis > 0; --axis) labels.push_back(-axis);
  }
  labels.insert(labels.end(), term.after.begin(), term.after.end());
  return labels;
}

}  // namespace narrow::exec
