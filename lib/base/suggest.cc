#include "lib/base/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace narrow {
namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours cost one each.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before_last(b.size() + 1);
  std::vector<size_t> last(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitute});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last.back();
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  // A third of the word may be wrong; beyond that a suggestion misleads more than it helps.
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  std::string best;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (!best.empty()) return best;
  constexpr size_t kLeastPrefix = 3;
  const auto begun = [&](const std::string& candidate) {
    return word.size() >= kLeastPrefix && candidate.size() >= kLeastPrefix &&
           (candidate.starts_with(word) || word.starts_with(candidate));
  };
  const auto found = std::find_if(candidates.begin(), candidates.end(), begun);
  return found == candidates.end() ? "" : *found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string best = nearest(word, candidates);
  return best.empty() ? "" : fmt::format("; did you mean '{}'?", best);
}

std::string suggestion(std::string_view word, std::span<const std::string> candidates) {
  std::string meant = did_you_mean(word, candidates);
  if (!meant.empty() || candidates.empty()) return meant;
  std::vector<std::string> known;
  for (const std::string& candidate : candidates) {
    if (std::find(known.begin(), known.end(), candidate) == known.end()) known.push_back(candidate);
  }
  return fmt::format("; known: {}", fmt::join(known, ", "));
}

}  // namespace narrow
