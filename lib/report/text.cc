#include <algorithm>
#include <numeric>

#include "lib/report/document.h"
#include "lib/report/format.h"

namespace narrow::report {
namespace {

constexpr size_t kWidth = 100;
constexpr size_t kIndent = 2;
constexpr size_t kGap = 2;
constexpr size_t kMinShortened = 12;  // a column is not cut below this

std::vector<size_t> column_widths(const Table& table) {
  std::vector<size_t> widths;
  for (const Column& column : table.columns) widths.push_back(text_width(column.title));
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], text_width(row[i].text));
  }
  // Take from the widest column until the table fits.
  const size_t limit = kWidth - kIndent - kGap * (widths.empty() ? 0 : widths.size() - 1);
  while (std::accumulate(widths.begin(), widths.end(), size_t{0}) > limit) {
    const auto widest = std::max_element(widths.begin(), widths.end());
    if (*widest <= kMinShortened) break;
    --*widest;
  }
  return widths;
}

std::string padded(const std::string& text, size_t width, Align align) {
  const std::string shown = shorten(text, width);
  const std::string space(width - text_width(shown), ' ');
  return align == Align::kRight ? space + shown : shown + space;
}

void end_line(std::string& out) {
  while (!out.empty() && out.back() == ' ') out.pop_back();
  out += '\n';
}

void write_row(const Table& table, const std::vector<size_t>& widths, const std::vector<Cell>& row, std::string& out) {
  out.append(kIndent, ' ');
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out.append(kGap, ' ');
    out += padded(row[i].text, widths[i], table.columns[i].align);
  }
  end_line(out);
}

void write_table(const Table& table, std::string& out) {
  const std::vector<size_t> widths = column_widths(table);
  std::vector<Cell> titles;
  bool titled = false;
  for (const Column& column : table.columns) {
    titles.emplace_back(column.title);
    titled = titled || !column.title.empty();
  }
  if (titled) write_row(table, widths, titles, out);
  for (const auto& row : table.rows) write_row(table, widths, row, out);
}

/// The line broken at spaces, later parts two columns further in.
void write_wrapped(const std::string& line, size_t indent, std::string& out) {
  std::string rest = line;
  size_t margin = indent;
  while (!rest.empty()) {
    size_t end = rest.size();
    if (margin + end > kWidth) {
      const size_t space = rest.rfind(' ', kWidth - margin);
      if (space != std::string::npos && space > 0) end = space;
    }
    out.append(margin, ' ').append(rest, 0, end).append(1, '\n');
    rest.erase(0, std::min(rest.size(), end + 1));
    margin = indent + 2;
  }
}

void write_lines(const Lines& lines, std::string& out) {
  for (const std::string& line : lines.lines) write_wrapped(line, kIndent, out);
}

}  // namespace

std::string render_text(const Document& document) {
  std::string out = document.title.empty() ? "" : document.title + "\n";
  for (const std::string& line : document.summary) write_wrapped(line, 0, out);
  for (const Section& section : document.sections) {
    if (!out.empty()) out += "\n";
    if (!section.title.empty()) out += section.title + "\n";
    for (size_t i = 0; i < section.blocks.size(); ++i) {
      if (i > 0) out += "\n";
      if (const auto* table = std::get_if<Table>(&section.blocks[i])) {
        write_table(*table, out);
      } else {
        write_lines(std::get<Lines>(section.blocks[i]), out);
      }
    }
  }
  return out;
}

}  // namespace narrow::report
