// Which nodes a rule is about.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/analyze/analyze.h"
#include "lib/base/json.h"

namespace narrow::plan {

/// Conditions that must all hold.
struct Match {
  std::optional<std::string> name;        // glob over the node's name: * ? [abc]
  std::optional<std::string> regex;       // RE2, the whole name
  std::optional<std::string> op;          // operator type
  std::optional<std::string> tensor;      // glob over the values that the node reads or makes
  std::optional<std::string> subgraph;    // glob over the nodes whose bodies it stands in, at any depth
  std::optional<int64_t> first;           // among the first so many nodes with a constant weight
  std::optional<int64_t> last;            // among the last so many of them
  std::optional<int64_t> min_parameters;  // elements of its constant weight
  std::optional<int64_t> max_parameters;
  std::optional<int64_t> min_depth;  // nodes on the longest way from an input to it, itself counted
  std::optional<int64_t> max_depth;
  std::optional<std::pair<std::string, std::string>> between;  // on some way from the first value to the second
  std::vector<Match> all;
  std::vector<Match> any;
  std::vector<Match> none;  // spelled "not": none of them holds
};

/// Throws Error(kUsage) with the path of what is wrong, or where no condition is given.
Match read_match(JsonObject object);

/// The node with this name and no other.
Match match_name(const std::string& name);

/// "op MatMul, last 2", as plans show it.
std::string match_text(const Match& match);

/// The match over one model. Throws Error(kUsage) for a value of "between" that the model does not have.
class Matcher {
 public:
  Matcher(const Match& match, const analyze::Analysis& analysis);
  ~Matcher();
  Matcher(Matcher&&) noexcept;
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  Matcher& operator=(Matcher&&) = delete;

  bool matches(size_t layer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace narrow::plan
