#include "lib/base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lib/base/json_number.h"
#include "lib/base/json_place.h"

namespace narrow {
namespace {

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(JsonTest, ParseErrorNamesFileLineAndColumn) {
  EXPECT_EQ(message_of([] { parse_json("{\n  \"a\": 1,\n  oops }", "c.json"); }), "c.json:3:3: not valid JSON");
}

TEST(JsonTest, WhatTheLibraryWouldPassOver) {
  EXPECT_EQ(message_of([] { parse_json(R"({"a": {"b": 1}, "c": {"b": 2, "b": 3}})", "c.json"); }),
            "c.json:1: c.b: is given twice");
  EXPECT_EQ(message_of([] { parse_json(R"({"a": 1e999})", "c.json"); }), "c.json:1: a number is too large");
  EXPECT_EQ(parse_json(R"({"a": {"b": 1}, "c": {"b": 2}})", "c.json")["c"]["b"], 2);
}

TEST(JsonTest, CommentsAreAllowed) {
  EXPECT_EQ(parse_json("{ /* x */ \"a\": 1 // y\n}", "c")["a"], 1);
}

TEST(JsonTest, ReaderRefusesUnknownKeysWithASuggestion) {
  const Json json = parse_json(R"({"samples": 1, "percentlie": 2})", "c");
  JsonObject object(json, "calibration");
  EXPECT_EQ(object.get<int64_t>("samples"), 1);
  EXPECT_EQ(object.get_or<double>("percentile", 5.0), 5.0);
  EXPECT_EQ(message_of([&] { object.finish(); }), "calibration.percentlie: unknown key; did you mean 'percentile'?");
}

TEST(JsonTest, ReaderNamesThePathOfAWrongType) {
  const Json json = parse_json(R"({"rules": [{"op": 3}]})", "c");
  JsonObject object(json, "");
  auto rules = object.objects("rules");
  EXPECT_EQ(message_of([&] { rules[0].get<std::string>("op"); }), "rules[0].op: expected a string");
}

TEST(JsonTest, FloatsReadBackToTheSameBits) {
  for (const float value : {0.1F, 1.0F / 3.0F, 1e-38F, 3.4028235e38F, 0.0117647061F}) {
    const std::string text = json_float(value).dump();
    EXPECT_EQ(static_cast<float>(std::stod(text)), value) << text;
  }
  EXPECT_EQ(json_float(0.1F).dump(), "0.1");
  EXPECT_TRUE(json_float(std::numeric_limits<float>::infinity()).is_null());
}

TEST(JsonTest, ArraysOfNumbersStandOnOneLine) {
  EXPECT_EQ(json_text(parse_json(R"({"a":[1,2],"b":{"c":[]}})", "c")),
            "{\n  \"a\": [1,2],\n  \"b\": {\n    \"c\": []\n  }\n}\n");
}

TEST(JsonTest, WhatJsonHasNoWordForComesBack) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(json_number(kInfinity), "inf");
  EXPECT_EQ(json_number(-kInfinity), "-inf");
  EXPECT_TRUE(json_number(std::nan("")).is_null());
  EXPECT_TRUE(json_number(std::optional<double>()).is_null());
  for (const double value : {1.5, -0.25, kInfinity, -kInfinity}) EXPECT_EQ(number_from_json(json_number(value)), value);
  EXPECT_TRUE(std::isnan(number_from_json(nullptr)));
  EXPECT_THROW(number_from_json("infinite"), Error);
}

TEST(JsonPlaceTest, APathIsFoundOrWhatIsAroundIt) {
  const std::string text = "// a\n{\n  \"a\": [1, [2,\n 3], {\"b\": \"}\\\"]\",\n\"c.d\": null}],\n  \"a2\": 5\n}";
  const auto line = [&](const char* path) { return find_in_json(text, path).line; };
  EXPECT_EQ(line(""), 2U);
  EXPECT_EQ(line("a"), 3U);
  EXPECT_EQ(line("a[1][1]"), 4U);
  EXPECT_EQ(line("a[2].b"), 4U);
  EXPECT_EQ(line("a[2].c.d"), 5U) << "a key may hold a dot";
  EXPECT_EQ(line("a2"), 6U);
  EXPECT_EQ(line("a2x"), 2U) << "no part of a key";
  EXPECT_EQ(find_in_json(text, "a[2].x.y").path, "a[2]");
  EXPECT_EQ(find_in_json("{\"a\": [", "a[0]").path, "a") << "text that ends early";
  EXPECT_EQ(find_in_json("", "a").line, 1U);
}

TEST(JsonPlaceTest, RepeatedKeysAreThoseOfOneObject) {
  EXPECT_FALSE(find_repeated_key(R"({"a": {"b": 1}, "b": [{"a": 1}, {"a": 2}]})"));
  const auto place = find_repeated_key("{\"a\": 1,\n\"\\u0061\": 2}");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->line, 2U) << "spelled otherwise";
  EXPECT_EQ(place->path, "a");
}

TEST(JsonTest, AnErrorOfAFileNamesItsLine) {
  const JsonError error("a.b", "is odd");
  EXPECT_STREQ(error.what(), "a.b: is odd");
  EXPECT_STREQ(located(error, "{\n\"a\": {}}", "f.json").what(), "f.json:2: a.b: is odd");
  EXPECT_STREQ(located(JsonError("", "is odd"), "\n{}", "f.json").what(), "f.json:2: is odd");
}

}  // namespace
}  // namespace narrow
