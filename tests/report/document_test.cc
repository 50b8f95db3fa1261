#include "lib/report/document.h"

#include <gtest/gtest.h>

#include <sstream>

#include "lib/report/format.h"

namespace narrow::report {
namespace {

Document with_table(Table table) {
  Document document;
  document.title = "title";
  document.sections.push_back({"part", {std::move(table)}});
  return document;
}

TEST(Text, ColumnsAreAlignedAndTrailingSpaceIsCut) {
  const Table table{.columns = {{"name"}, {"n", Align::kRight}, {"note"}},
                    .rows = {{"a", "1", ""}, {"long name", "1000", "x"}}};
  EXPECT_EQ(render_text(with_table(table)),
            "title\n"
            "\n"
            "part\n"
            "  name          n  note\n"
            "  a             1\n"
            "  long name  1000  x\n");
}

TEST(Text, NoLineIsLongerThanHundredColumns) {
  const Table table{.columns = {{"name"}, {"reason"}, {"n", Align::kRight}},
                    .rows = {{std::string(90, 'a'), std::string(200, 'b'), "12"}}};
  Document document = with_table(table);
  std::string words;
  for (int i = 0; i < 60; ++i) words += "word ";
  document.sections.push_back({"", {Lines{{words}}}});
  document.summary.push_back(words);
  std::istringstream text(render_text(document));
  std::string line;
  while (std::getline(text, line)) EXPECT_LE(text_width(line), 100U) << line;
}

TEST(Text, ALastColumnOfWordsGoesOnBelow) {
  std::string words = "first";
  for (int i = 0; i < 20; ++i) words += " word";
  const std::string text =
      render_text(with_table({.columns = {{"name"}, {"reason"}}, .rows = {{"a", words}, {"b", "c"}}}));
  const std::string row = "first word word word word word word word word word word word word word word word word word";
  EXPECT_EQ(text.substr(text.find("  a")), "  a     " + row + "\n        word word word\n  b     c\n");
}

TEST(Text, TableWithoutTitlesHasNoTitleLine) {
  EXPECT_EQ(render_text(with_table(facts({{"file", "1 KiB"}}))), "title\n\npart\n  file  1 KiB\n");
}

TEST(Html, NamesAreEscaped) {
  const std::string html = render_html(with_table(facts({{"<script>alert('x')</script>", "a & \"b\""}})));
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), std::string::npos);
  EXPECT_NE(html.find("a &amp; &quot;b&quot;"), std::string::npos);
}

TEST(Markdown, PipesAndLineBreaksDoNotBreakTheTable) {
  const std::string text = render_markdown(with_table({.columns = {{"a"}}, .rows = {{"x|y\nz"}}}));
  EXPECT_NE(text.find("| x\\|y z |"), std::string::npos);
}

}  // namespace
}  // namespace narrow::report
