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

/// Takes the first `width` columns off the text, up to a space where there is one.
std::string take_line(std::string& rest, size_t width) {
  size_t end = rest.size();
  if (end > width) {
    const size_t space = rest.rfind(' ', width);
    if (space != std::string::npos && space > 0) end = space;
  }
  std::string line = rest.substr(0, end);
  rest.erase(0, std::min(rest.size(), end + 1));
  return line;
}

/// A last column of words goes on below; other cells that are too wide are shortened.
void write_row(const Table& table, const std::vector<size_t>& widths, const std::vector<Cell>& row, std::string& out) {
  out.append(kIndent, ' ');
  std::string rest;
  size_t margin = kIndent;
  for (size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out.append(kGap, ' ');
    const bool goes_on = i + 1 == row.size() && table.columns[i].align == Align::kLeft;
    if (goes_on) rest = row[i].text;
    out += padded(goes_on ? take_line(rest, widths[i]) : row[i].text, widths[i], table.columns[i].align);
    if (!goes_on) margin += widths[i] + kGap;
  }
  end_line(out);
  while (!rest.empty()) {
    out.append(margin, ' ') += padded(take_line(rest, widths.back()), widths.back(), Align::kLeft);
    end_line(out);
  }
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
  for (size_t margin = indent; !rest.empty(); margin = indent + 2) {
    out.append(margin, ' ') += take_line(rest, kWidth - margin) + "\n";
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
