// A report as headings, tables and lines: made once from data, then rendered as text, Markdown or HTML.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace narrow::report {

/// How a cell is meant, for renderers that can show it.
enum class Mark { kNone, kGood, kBad };

struct Cell {
  Cell() = default;
  Cell(std::string content) : text(std::move(content)) {}  // NOLINT: a cell is mostly just its text
  Cell(const char* content) : text(content) {}             // NOLINT
  Cell(std::string content, Mark meaning) : text(std::move(content)), mark(meaning) {}

  std::string text;
  Mark mark = Mark::kNone;
};

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;  // each as long as `columns`
};

/// One line a point.
struct Lines {
  std::vector<std::string> lines;
};

using Block = std::variant<Table, Lines>;

struct Section {
  std::string title;
  std::vector<Block> blocks;
};

struct Document {
  std::string title;
  std::vector<std::string> summary;  // lines below the title
  std::vector<Section> sections;
};

/// A table of names and values without column titles.
Table facts(std::vector<std::vector<Cell>> rows);

/// Plain text of at most 100 columns: cells that do not fit are shortened in the middle, lines are wrapped.
std::string render_text(const Document& document);
std::string render_markdown(const Document& document);
/// One self-contained page.
std::string render_html(const Document& document);

}  // namespace narrow::report
