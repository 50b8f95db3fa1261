#include "lib/report/format.h"

#include <gtest/gtest.h>

#include <cmath>

namespace narrow::report {
namespace {

TEST(Format, Bytes) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(1024), "1.0 KiB");
  EXPECT_EQ(bytes_text(235431), "229.9 KiB");
  EXPECT_EQ(bytes_text(5 * 1024 * 1024), "5.0 MiB");
}

TEST(Format, Counts) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(-1234567), "-1,234,567");
  EXPECT_EQ(count_text(-123), "-123");
  EXPECT_EQ(plural(1, "node"), "1 node");
  EXPECT_EQ(plural(2000, "node"), "2,000 nodes");
}

TEST(Format, OnlyEverythingIsHundredPercent) {
  EXPECT_EQ(percent_text(1), "100.0 %");
  EXPECT_EQ(percent_text(0.9999), "99.9 %");
  EXPECT_EQ(percent_text(0.5), "50.0 %");
  EXPECT_EQ(percent_text(std::nan("")), "-");
}

TEST(Format, NumbersThatAreNone) {
  EXPECT_EQ(number_text(HUGE_VAL, 2), "inf");
  EXPECT_EQ(number_text(-HUGE_VAL, 2), "-inf");
  EXPECT_EQ(number_text(std::nan(""), 2), "nan");
  EXPECT_EQ(number_text(1.005, 1), "1.0");
  EXPECT_EQ(short_number_text(0.012345), "0.0123");
}

TEST(Format, Seconds) {
  EXPECT_EQ(seconds_text(0.756), "0.76 s");
  EXPECT_EQ(seconds_text(12.34), "12.3 s");
  EXPECT_EQ(seconds_text(125.2), "2 min 5 s");
}

TEST(Format, ShortenCutsTheMiddleAtWholeCharacters) {
  EXPECT_EQ(shorten("short", 5), "short");
  EXPECT_EQ(shorten("abcdefghij", 7), "ab...ij");
  EXPECT_EQ(shorten("abcdefghij", 8), "abc...ij");
  EXPECT_EQ(shorten("ääääääääää", 7), "ää...ää");
  EXPECT_EQ(text_width("äöü"), 3U);
  EXPECT_EQ(shorten("abcdef", 2), "..");
}

}  // namespace
}  // namespace narrow::report
