#include "tests/support/json_schema.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

namespace narrow::test {
namespace {

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  void check(const Json& schema, const Json& value, const std::string& path) {
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) report(path, "is not allowed");
      return;
    }
    for (const auto& [keyword, wanted] : schema.items()) check_keyword(schema, keyword, wanted, value, path);
  }

  std::vector<std::string> violations() const { return violations_; }

 private:
  using Check = void (Validator::*)(const Json& schema, const Json& wanted, const Json& value, const std::string& path);

  void report(const std::string& path, const std::string& what) { violations_.push_back(path + ": " + what); }

  void check_keyword(const Json& schema, const std::string& keyword, const Json& wanted, const Json& value,
                     const std::string& path) {
    static const std::map<std::string, Check> checks{{"$ref", &Validator::check_reference},
                                                     {"type", &Validator::check_type},
                                                     {"enum", &Validator::check_enum},
                                                     {"const", &Validator::check_const},
                                                     {"properties", &Validator::check_properties},
                                                     {"additionalProperties", &Validator::check_additional},
                                                     {"required", &Validator::check_required},
                                                     {"items", &Validator::check_items},
                                                     {"anyOf", &Validator::check_any},
                                                     {"minimum", &Validator::check_minimum},
                                                     {"maximum", &Validator::check_maximum},
                                                     {"exclusiveMinimum", &Validator::check_above},
                                                     {"minItems", &Validator::check_least_items},
                                                     {"maxItems", &Validator::check_most_items},
                                                     {"minProperties", &Validator::check_least_properties}};
    constexpr std::array<std::string_view, 5> kSaysNothing{"$schema", "title", "description", "definitions", "default"};
    if (std::find(kSaysNothing.begin(), kSaysNothing.end(), keyword) != kSaysNothing.end()) return;
    const auto found = checks.find(keyword);
    if (found == checks.end()) {
      ADD_FAILURE() << "unknown keyword " << keyword;
      return;
    }
    (this->*found->second)(schema, wanted, value, path);
  }

  void check_reference(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    check(root_.at(Json::json_pointer(wanted.get<std::string>().substr(1))), value, path);
  }

  static bool has_type(const Json& value, const std::string& type) {
    if (type == "integer") return value.is_number_integer();
    if (type == "number") return value.is_number();
    if (type == "object") return value.is_object();
    if (type == "array") return value.is_array();
    if (type == "string") return value.is_string();
    if (type == "boolean") return value.is_boolean();
    return type == "null" && value.is_null();
  }

  void check_type(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    const Json types = wanted.is_array() ? wanted : Json::array({wanted});
    const bool fits = std::any_of(types.begin(), types.end(), [&](const Json& t) { return has_type(value, t); });
    if (!fits) report(path, "is no " + wanted.dump());
  }

  void check_enum(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (std::find(wanted.begin(), wanted.end(), value) == wanted.end()) report(path, "is none of " + wanted.dump());
  }

  void check_const(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value != wanted) report(path, "is not " + wanted.dump());
  }

  void check_properties(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (!value.is_object()) return;
    for (const auto& [key, schema] : wanted.items()) {
      if (value.contains(key)) check(schema, value[key], path + "." + key);
    }
  }

  void check_additional(const Json& schema, const Json& wanted, const Json& value, const std::string& path) {
    if (!value.is_object()) return;
    const Json known = schema.value("properties", Json::object());
    for (const auto& [key, member] : value.items()) {
      if (!known.contains(key)) check(wanted, member, path + "." + key);
    }
  }

  void check_required(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    for (const Json& key : wanted) {
      if (value.is_object() && !value.contains(key.get<std::string>())) report(path, "lacks " + key.dump());
    }
  }

  void check_items(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    for (size_t i = 0; value.is_array() && i < value.size(); ++i)
      check(wanted, value[i], fmt::format("{}[{}]", path, i));
  }

  void check_any(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    const bool fits = std::any_of(wanted.begin(), wanted.end(), [&](const Json& choice) {
      Validator one(root_);
      one.check(choice, value, path);
      return one.violations_.empty();
    });
    if (!fits) report(path, "fits none of the choices");
  }

  void check_minimum(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_number() && value.get<double>() < wanted.get<double>()) report(path, "is below " + wanted.dump());
  }

  void check_maximum(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_number() && value.get<double>() > wanted.get<double>()) report(path, "is above " + wanted.dump());
  }

  void check_above(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_number() && value.get<double>() <= wanted.get<double>()) report(path, "is not above " + wanted.dump());
  }

  void check_least_items(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_array() && value.size() < wanted.get<size_t>()) report(path, "has too few elements");
  }

  void check_most_items(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_array() && value.size() > wanted.get<size_t>()) report(path, "has too many elements");
  }

  void check_least_properties(const Json&, const Json& wanted, const Json& value, const std::string& path) {
    if (value.is_object() && value.size() < wanted.get<size_t>()) report(path, "has too few members");
  }

  const Json& root_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> schema_violations(const Json& schema, const Json& value) {
  Validator validator(schema);
  validator.check(schema, value, "$");
  return validator.violations();
}

}  // namespace narrow::test
