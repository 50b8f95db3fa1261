#include "lib/diff/render.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "lib/report/format.h"

namespace narrow::diff {
namespace {

constexpr size_t kShownRows = 60;  // of one group

std::string group_text(const Group& group) {
  std::vector<std::string> parts;
  const auto add = [&](size_t count, const char* what) {
    if (count > 0) parts.push_back(fmt::format("{} {}", count, what));
  };
  add(group.changed.size(), "changed");
  add(group.removed.size(), "removed");
  add(group.added.size(), "added");
  add(static_cast<size_t>(group.same), "the same");
  return fmt::format("{}: {}", group.name, fmt::join(parts, ", "));
}

void add_rows(const Group& group, report::Table& table) {
  for (const Item& item : group.changed) {
    bool first = true;
    for (const Change& change : item.changes) {
      table.rows.push_back({first ? item.name : "", first ? item.detail : "", change.what, change.text});
      first = false;
    }
  }
  for (const Item& item : group.removed) table.rows.push_back({item.name, item.detail, "", "removed"});
  for (const Item& item : group.added) table.rows.push_back({item.name, item.detail, "", "added"});
}

/// Without the columns that no row fills.
void drop_empty_columns(report::Table& table) {
  for (size_t column = table.columns.size(); column-- > 0;) {
    const auto is_empty = [&](const auto& row) { return row[column].text.empty(); };
    if (!std::all_of(table.rows.begin(), table.rows.end(), is_empty)) continue;
    const auto at = static_cast<std::ptrdiff_t>(column);
    table.columns.erase(table.columns.begin() + at);
    for (auto& row : table.rows) row.erase(row.begin() + at);
  }
}

report::Section group_section(const Group& group) {
  report::Table table{.columns = {{""}, {""}, {""}, {""}}, .rows = {}};
  add_rows(group, table);
  const size_t rows = table.rows.size();
  if (rows > kShownRows) table.rows.resize(kShownRows);
  drop_empty_columns(table);
  report::Section section{group_text(group), {std::move(table)}};
  if (rows > kShownRows) {
    section.blocks.emplace_back(
        report::Lines{{fmt::format("and {} more lines, see the JSON form", rows - kShownRows)}});
  }
  return section;
}

Json full_json(const Diff& diff, const std::vector<report::Gate>& gates) {
  Json json = to_json(diff);
  json["gates"] = Json::array();
  for (const report::Gate& gate : gates) json["gates"].push_back(report::to_json(gate));
  json["passed"] = report::all_passed(gates);
  return json;
}

}  // namespace

std::string summary_text(const Diff& diff) {
  std::vector<std::string> parts;
  for (const Group& group : diff.groups) {
    const int64_t differing = group.differences();
    if (differing > 0) parts.push_back(fmt::format("{} of {} in {}", differing, differing + group.same, group.name));
  }
  if (parts.empty()) return "nothing changed";
  return fmt::format("different: {}", fmt::join(parts, ", "));
}

report::Document to_document(const Diff& diff, const std::vector<report::Gate>& gates) {
  report::Document document;
  document.title = fmt::format("{} -> {} ({})", diff.before, diff.after, kind_name(diff.kind));
  document.summary = {summary_text(diff)};
  document.summary.insert(document.summary.end(), diff.notes.begin(), diff.notes.end());
  for (const Group& group : diff.groups) {
    if (group.differences() > 0) document.sections.push_back(group_section(group));
  }
  if (!gates.empty()) document.sections.push_back(report::gates_section(gates));
  return document;
}

std::string render(const Diff& diff, const std::vector<report::Gate>& gates, report::ReportFormat format) {
  switch (format) {
    case report::ReportFormat::kJson:
      return json_text(full_json(diff, gates));
    case report::ReportFormat::kMarkdown:
      return report::render_markdown(to_document(diff, gates));
    case report::ReportFormat::kHtml:
      return report::render_html(to_document(diff, gates));
    case report::ReportFormat::kJunit:
      return report::render_junit({.name = "narrow diff", .subject = diff.after}, gates);
    case report::ReportFormat::kText:
      return report::render_text(to_document(diff, gates));
  }
  throw Error(ErrorKind::kInternal, "unknown report format");
}

}  // namespace narrow::diff
