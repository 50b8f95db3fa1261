#include "lib/plan/match.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "lib/base/error.h"
#include "lib/base/suggest.h"
#include "lib/plan/name_pattern.h"

namespace narrow::plan {
namespace {

bool glob(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

struct CountKey {
  const char* name;
  std::optional<int64_t> Match::*field;
};

constexpr CountKey kCounts[] = {
    {"first", &Match::first},
    {"last", &Match::last},
    {"min_parameters", &Match::min_parameters},
    {"max_parameters", &Match::max_parameters},
    {"min_depth", &Match::min_depth},
    {"max_depth", &Match::max_depth},
};

struct ListKey {
  const char* name;
  std::vector<Match> Match::*field;
};

constexpr ListKey kLists[] = {{"all", &Match::all}, {"any", &Match::any}, {"not", &Match::none}};

std::vector<Match> read_list(JsonObject& object, const std::string& key) {
  std::vector<Match> matches;
  if (object.raw(key).is_object()) {
    matches.push_back(read_match(object.object(key)));
  } else {
    for (JsonObject& one : object.objects(key)) matches.push_back(read_match(one));
  }
  if (matches.empty()) object.fail(key, "needs at least one condition");
  return matches;
}

/// Layers reached from `value` along `next(layer)`; for regions between two values.
class Region {
 public:
  explicit Region(const analyze::Analysis& analysis) : analysis_(analysis) {}

  /// Layers that compute with `value`, directly or not.
  std::set<size_t> after(const std::string& value) const {
    std::set<std::string> known{value};
    std::set<size_t> found;
    for (size_t i = 0; i < analysis_.layers.size(); ++i) {
      const analyze::Layer& layer = analysis_.layers[i];
      if (!any_known(layer.reads, known)) continue;
      found.insert(i);
      known.insert(layer.makes.begin(), layer.makes.end());
    }
    return found;
  }

  /// Layers whose results `value` depends on.
  std::set<size_t> before(const std::string& value) const {
    std::set<std::string> known{value};
    std::set<size_t> found;
    for (size_t i = analysis_.layers.size(); i-- > 0;) {
      const analyze::Layer& layer = analysis_.layers[i];
      if (!any_known(layer.makes, known)) continue;
      found.insert(i);
      known.insert(layer.reads.begin(), layer.reads.end());
    }
    return found;
  }

  void require(const std::string& value) const {
    std::vector<std::string> names;
    for (const analyze::Layer& layer : analysis_.layers) {
      names.insert(names.end(), layer.reads.begin(), layer.reads.end());
      names.insert(names.end(), layer.makes.begin(), layer.makes.end());
    }
    if (std::find(names.begin(), names.end(), value) != names.end()) return;
    throw Error(ErrorKind::kUsage, "match.between: the model has no value '{}'{}", value, did_you_mean(value, names));
  }

 private:
  static bool any_known(const std::vector<std::string>& values, const std::set<std::string>& known) {
    return std::any_of(values.begin(), values.end(), [&](const std::string& value) { return known.contains(value); });
  }

  const analyze::Analysis& analysis_;
};

}  // namespace

Match read_match(JsonObject object) {
  Match match;
  const bool empty = object.keys().empty();
  if (object.has("name")) match.name = object.get<std::string>("name");
  if (object.has("op")) match.op = object.get<std::string>("op");
  if (object.has("tensor")) match.tensor = object.get<std::string>("tensor");
  if (object.has("subgraph")) match.subgraph = object.get<std::string>("subgraph");
  if (object.has("regex")) {
    match.regex = object.get<std::string>("regex");
    object.checked("regex", [&] { return NamePattern(*match.regex); });
  }
  for (const CountKey& key : kCounts) {
    if (!object.has(key.name)) continue;
    match.*key.field = object.get<int64_t>(key.name);
    if (*(match.*key.field) < 1) object.fail(key.name, "must be at least 1");
  }
  if (object.has("between")) {
    const auto values = object.get<std::vector<std::string>>("between");
    if (values.size() != 2) object.fail("between", "expected the names of two values");
    match.between = {values[0], values[1]};
  }
  for (const ListKey& key : kLists) {
    if (object.has(key.name)) match.*key.field = read_list(object, key.name);
  }
  object.allow({"name", "regex", "op", "tensor", "subgraph", "first", "last", "min_parameters", "max_parameters",
                "min_depth", "max_depth", "between", "all", "any", "not"});
  object.finish();
  if (empty) object.fail("", "needs a condition, such as name, regex or op");
  return match;
}

Match match_name(const std::string& name) {
  Match match;
  std::string& pattern = match.name.emplace();
  for (const char letter : name) {
    if (std::string_view("*?[\\").find(letter) != std::string_view::npos) pattern += '\\';
    pattern += letter;
  }
  return match;
}

std::string match_text(const Match& match) {
  std::vector<std::string> parts;
  const auto add = [&](const char* name, const std::optional<std::string>& text) {
    if (text) parts.push_back(fmt::format("{} {}", name, *text));
  };
  add("name", match.name);
  add("regex", match.regex);
  add("op", match.op);
  add("tensor", match.tensor);
  add("subgraph", match.subgraph);
  for (const CountKey& key : kCounts) {
    if (match.*key.field) parts.push_back(fmt::format("{} {}", key.name, *(match.*key.field)));
  }
  if (match.between) parts.push_back(fmt::format("between {} and {}", match.between->first, match.between->second));
  for (const ListKey& key : kLists) {
    std::vector<std::string> inner;
    for (const Match& one : match.*key.field) inner.push_back("(" + match_text(one) + ")");
    if (!inner.empty()) parts.push_back(fmt::format("{} {}", key.name, fmt::join(inner, " ")));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

struct Matcher::State {
  const Match& match;
  const analyze::Analysis& analysis;
  std::optional<NamePattern> regex;
  std::vector<size_t> weighted;  // layers with a constant weight, in order
  std::set<size_t> region;
  std::vector<Matcher> all;
  std::vector<Matcher> any;
  std::vector<Matcher> none;

  bool among(size_t layer, int64_t count, bool from_end) const {
    const auto found = std::find(weighted.begin(), weighted.end(), layer);
    if (found == weighted.end()) return false;
    const auto at = found - weighted.begin();
    return (from_end ? static_cast<int64_t>(weighted.size()) - 1 - at : at) < count;
  }

  bool counts_hold(size_t at) const {
    const analyze::Layer& layer = analysis.layers[at];
    const int64_t parameters = layer.parameters;
    return (!match.first || among(at, *match.first, false)) && (!match.last || among(at, *match.last, true)) &&
           (!match.min_parameters || parameters >= *match.min_parameters) &&
           (!match.max_parameters || parameters <= *match.max_parameters) &&
           (!match.min_depth || layer.depth >= *match.min_depth) &&
           (!match.max_depth || layer.depth <= *match.max_depth);
  }

  bool names_hold(const analyze::Layer& layer) const {
    if (match.name && !glob(*match.name, layer.node)) return false;
    if (regex && !regex->matches(layer.node)) return false;
    if (match.op && *match.op != layer.op_type) return false;
    const auto around = [&](const std::string& node) { return glob(*match.subgraph, node); };
    if (match.subgraph && std::none_of(layer.inside.begin(), layer.inside.end(), around)) return false;
    if (!match.tensor) return true;
    const auto holds = [&](const std::string& value) { return glob(*match.tensor, value); };
    return std::any_of(layer.reads.begin(), layer.reads.end(), holds) ||
           std::any_of(layer.makes.begin(), layer.makes.end(), holds);
  }
};

Matcher::Matcher(const Match& match, const analyze::Analysis& analysis)
    : state_(std::make_unique<State>(State{.match = match,
                                           .analysis = analysis,
                                           .regex = {},
                                           .weighted = {},
                                           .region = {},
                                           .all = {},
                                           .any = {},
                                           .none = {}})) {
  if (match.regex) state_->regex.emplace(*match.regex);
  for (size_t i = 0; i < analysis.layers.size(); ++i) {
    if (analysis.layers[i].stored_weight) state_->weighted.push_back(i);
  }
  if (match.between) {
    const Region region(analysis);
    region.require(match.between->first);
    region.require(match.between->second);
    const std::set<size_t> after = region.after(match.between->first);
    const std::set<size_t> before = region.before(match.between->second);
    std::set_intersection(after.begin(), after.end(), before.begin(), before.end(),
                          std::inserter(state_->region, state_->region.end()));
  }
  for (const Match& one : match.all) state_->all.emplace_back(one, analysis);
  for (const Match& one : match.any) state_->any.emplace_back(one, analysis);
  for (const Match& one : match.none) state_->none.emplace_back(one, analysis);
}

Matcher::~Matcher() = default;
Matcher::Matcher(Matcher&&) noexcept = default;

bool Matcher::matches(size_t layer) const {
  const State& state = *state_;
  const auto holds = [&](const Matcher& matcher) { return matcher.matches(layer); };
  if (!state.names_hold(state.analysis.layers[layer]) || !state.counts_hold(layer)) return false;
  if (state.match.between && !state.region.contains(layer)) return false;
  if (!std::all_of(state.all.begin(), state.all.end(), holds)) return false;
  if (!state.any.empty() && std::none_of(state.any.begin(), state.any.end(), holds)) return false;
  return std::none_of(state.none.begin(), state.none.end(), holds);
}

}  // namespace narrow::plan
