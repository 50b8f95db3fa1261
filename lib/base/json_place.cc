#include "lib/base/json_place.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

namespace narrow {
namespace {

struct Met {
  std::string path;
  size_t line = 1;
  std::string_view token;  // a scalar as it is written; "" for a key, an object or an array
  bool repeated = false;   // a key that its object has already
};

/// Goes through JSON text and shows each key, element and scalar, until it is told to stop or the text ends. Objects
/// that are open lie on a stack of its own, so that no nesting is too deep.
class Walker {
 public:
  using Show = std::function<bool(const Met&)>;  // false: stop

  Walker(std::string_view text, Show show) : text_(text), show_(std::move(show)) {}

  void walk() {
    while (go_on_ && skip_blank()) step();
  }

 private:
  struct Open {
    bool object = false;
    std::string path;
    size_t elements = 0;  // met so far, of an array
    bool value_next = false;
    std::string key_path;
    std::set<std::string> keys;
  };

  char at(size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }

  void advance(size_t count) {
    for (const size_t end = std::min(text_.size(), at_ + count); at_ < end; ++at_) line_ += text_[at_] == '\n' ? 1 : 0;
  }

  void skip_through(std::string_view mark) {
    const size_t found = text_.find(mark, at_);
    advance(found == std::string_view::npos ? text_.size() : found + mark.size() - at_);
  }

  /// False at the end of the text.
  bool skip_blank() {
    while (at_ < text_.size()) {
      const char c = at(at_);
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        advance(1);
      } else if (c == '/' && at(at_ + 1) == '/') {
        skip_through("\n");
      } else if (c == '/' && at(at_ + 1) == '*') {
        skip_through("*/");
      } else {
        return true;
      }
    }
    return false;
  }

  void step() {
    const char c = at(at_);
    if (c == '}' || c == ']') {
      if (!open_.empty()) open_.pop_back();
      advance(1);
    } else if (c == ',' || c == ':') {
      if (!open_.empty()) open_.back().value_next = c == ':';
      advance(1);
    } else if (c == '"' && !open_.empty() && open_.back().object && !open_.back().value_next) {
      read_key();
    } else {
      read_value(c);
    }
  }

  std::string_view take_string() {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"') end += text_[end] == '\\' ? 2 : 1;
    const std::string_view token = text_.substr(at_, end + 1 - at_);
    advance(token.size());
    return token;
  }

  void read_key() {
    const size_t line = line_;
    const std::string_view token = take_string();
    const auto parsed = nlohmann::json::parse(token, nullptr, false);
    if (!parsed.is_string()) {
      go_on_ = false;
      return;
    }
    Open& object = open_.back();
    const auto key = parsed.get<std::string>();
    object.key_path = object.path.empty() ? key : object.path + "." + key;
    go_on_ = show_({object.key_path, line, "", !object.keys.insert(key).second});
  }

  void read_value(char first) {
    std::string path;
    if (!open_.empty()) {
      Open& around = open_.back();
      path = around.object ? around.key_path : fmt::format("{}[{}]", around.path, around.elements++);
    }
    const size_t line = line_;
    if (first == '{' || first == '[') {
      advance(1);
      go_on_ = show_({path, line, "", false});
      open_.push_back(
          {.object = first == '{', .path = path, .elements = 0, .value_next = false, .key_path = {}, .keys = {}});
      return;
    }
    const std::string_view token = first == '"' ? take_string() : take_word();
    go_on_ = show_({path, line, token, false});
  }

  std::string_view take_word() {
    const size_t end = std::min(text_.find_first_of(" \t\r\n,:]}\"/", at_ + 1), text_.size());
    const std::string_view token = text_.substr(at_, end - at_);
    advance(token.size());
    return token;
  }

  std::string_view text_;
  Show show_;
  std::vector<Open> open_;
  size_t at_ = 0;
  size_t line_ = 1;
  bool go_on_ = true;
};

/// `inner` is `outer` or lies in it.
bool within(std::string_view inner, std::string_view outer) {
  if (outer.empty()) return true;
  if (!inner.starts_with(outer)) return false;
  return inner.size() == outer.size() || inner[outer.size()] == '.' || inner[outer.size()] == '[';
}

}  // namespace

JsonPlace find_in_json(std::string_view text, std::string_view path) {
  JsonPlace best;
  bool found = false;
  Walker(text, [&](const Met& met) {
    const bool better = !found || met.path.size() > best.path.size();
    if (better && within(path, met.path)) best = {met.line, met.path};
    found = found || within(path, met.path);
    return best.path.size() < path.size() || !found;
  }).walk();
  return best;
}

std::optional<JsonPlace> find_repeated_key(std::string_view text) {
  std::optional<JsonPlace> repeated;
  Walker(text, [&](const Met& met) {
    if (met.repeated) repeated = JsonPlace{met.line, met.path};
    return !met.repeated;
  }).walk();
  return repeated;
}

std::optional<size_t> find_too_large_number(std::string_view text) {
  std::optional<size_t> line;
  Walker(text, [&](const Met& met) {
    const bool number = !met.token.empty() && (met.token[0] == '-' || (met.token[0] >= '0' && met.token[0] <= '9'));
    if (number && std::isinf(std::strtod(std::string(met.token).c_str(), nullptr))) line = met.line;
    return !line.has_value();
  }).walk();
  return line;
}

}  // namespace narrow
