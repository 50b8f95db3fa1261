#include <fmt/format.h>

#include <string_view>

#include "lib/report/document.h"
#include "lib/report/escape.h"

namespace narrow::report {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
)";

constexpr std::string_view kStyle = R"(<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
th { font-weight: 600; color: #666; } .right { text-align: right; } td { overflow-wrap: anywhere; }
.good { color: #187a2f; font-weight: 600; } .bad { color: #b3261e; font-weight: 600; }
</style>
)";

std::string class_attribute(Align align, Mark mark) {
  std::string names = align == Align::kRight ? "right" : "";
  if (mark != Mark::kNone) {
    if (!names.empty()) names += ' ';
    names += mark == Mark::kGood ? "good" : "bad";
  }
  return names.empty() ? "" : fmt::format(" class=\"{}\"", names);
}

void write_table(const Table& table, std::string& out) {
  out += "<table>\n";
  bool titled = false;
  for (const Column& column : table.columns) titled = titled || !column.title.empty();
  if (titled) {
    out += "<tr>";
    for (const Column& column : table.columns) {
      out += fmt::format("<th{}>{}</th>", class_attribute(column.align, Mark::kNone), escape_markup(column.title));
    }
    out += "</tr>\n";
  }
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out += fmt::format("<td{}>{}</td>", class_attribute(table.columns[i].align, row[i].mark),
                         escape_markup(row[i].text));
    }
    out += "</tr>\n";
  }
  out += "</table>\n";
}

void write_lines(const Lines& lines, std::string& out) {
  out += "<ul>\n";
  for (const std::string& line : lines.lines) out += fmt::format("<li>{}</li>\n", escape_markup(line));
  out += "</ul>\n";
}

}  // namespace

std::string render_html(const Document& document) {
  std::string out(kHead);
  out += fmt::format("<title>{}</title>\n", escape_markup(document.title));
  out += kStyle;
  out += fmt::format("</head>\n<body>\n<h1>{}</h1>\n", escape_markup(document.title));
  for (const std::string& line : document.summary) out += fmt::format("<p>{}</p>\n", escape_markup(line));
  for (const Section& section : document.sections) {
    if (!section.title.empty()) out += fmt::format("<h2>{}</h2>\n", escape_markup(section.title));
    for (const Block& block : section.blocks) {
      if (const auto* table = std::get_if<Table>(&block)) {
        write_table(*table, out);
      } else {
        write_lines(std::get<Lines>(block), out);
      }
    }
  }
  return out + "</body>\n</html>\n";
}

}  // namespace narrow::report
