#include <fmt/format.h>

#include <string_view>

#include "lib/report/document.h"

namespace narrow::report {
namespace {

/// Names may hold any character; these mean something in Markdown.
std::string escape(const std::string& text) {
  constexpr std::string_view kSpecial = "\\`*_{}[]<>|#";
  std::string out;
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    if (kSpecial.find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

void write_row(const std::vector<Cell>& cells, std::string& out) {
  out += "|";
  for (const Cell& cell : cells) {
    const bool strong = cell.mark == Mark::kBad && !cell.text.empty();
    const std::string text = escape(cell.text);
    out += strong ? fmt::format(" **{}** |", text) : fmt::format(" {} |", text);
  }
  out += "\n";
}

void write_table(const Table& table, std::string& out) {
  std::vector<Cell> titles;
  for (const Column& column : table.columns) titles.emplace_back(column.title);
  write_row(titles, out);
  out += "|";
  for (const Column& column : table.columns) out += column.align == Align::kRight ? "---:|" : "---|";
  out += "\n";
  for (const auto& row : table.rows) write_row(row, out);
}

}  // namespace

std::string render_markdown(const Document& document) {
  std::string out = fmt::format("# {}\n", escape(document.title));
  for (const std::string& line : document.summary) out += fmt::format("\n{}\n", escape(line));
  for (const Section& section : document.sections) {
    if (!section.title.empty()) out += fmt::format("\n## {}\n", escape(section.title));
    for (const Block& block : section.blocks) {
      out += "\n";
      if (const auto* table = std::get_if<Table>(&block)) {
        write_table(*table, out);
      } else {
        for (const std::string& line : std::get<Lines>(block).lines) out += fmt::format("- {}\n", escape(line));
      }
    }
  }
  return out;
}

}  // namespace narrow::report
