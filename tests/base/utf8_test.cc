#include "lib/base/utf8.h"

#include <gtest/gtest.h>

#include <array>
#include <string_view>

namespace narrow {
namespace {

// Bytes by Unicode's table 3-6: one character for each length.
TEST(Utf8Test, BothWays) {
  const std::string text = "a\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80";
  const std::u32string codes = U"a\u00e9\u65e5\U0001F600";
  EXPECT_EQ(utf8_to_utf32(text), codes);
  std::string again;
  for (const char32_t code : codes) append_utf8(code, again);
  EXPECT_EQ(again, text);
  EXPECT_EQ(utf8_to_utf32(""), U"");
}

// Table 3-7: a lone continuation, a cut character, overlong forms, a surrogate, beyond U+10FFFF.
TEST(Utf8Test, RefusesWhatIsNotWellFormed) {
  constexpr std::array<std::string_view, 8> kBad{"\x80",         "\xE6\x97", "\xC0\xAF",         "\xE0\x9F\xBF",
                                                 "\xED\xA0\x80", "\xFF",     "\xF4\x90\x80\x80", "\xF0\x8F\xBF\xBF"};
  for (const std::string_view text : kBad) EXPECT_FALSE(utf8_to_utf32(text).has_value());
}

}  // namespace
}  // namespace narrow
