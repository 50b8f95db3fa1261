#include <array>
#include <filesystem>

#include "lib/report/report.h"

namespace narrow::report {
namespace {

struct FormatRow {
  std::string_view extension;
  ReportFormat format;
};

constexpr std::array kFormats{
    FormatRow{".json", ReportFormat::kJson}, FormatRow{".md", ReportFormat::kMarkdown},
    FormatRow{".html", ReportFormat::kHtml}, FormatRow{".xml", ReportFormat::kJunit},
    FormatRow{".txt", ReportFormat::kText},
};

}  // namespace

ReportFormat report_format_of(const std::string& path) {
  const std::string extension = std::filesystem::path(path).extension().string();
  for (const FormatRow& row : kFormats) {
    if (row.extension == extension) return row.format;
  }
  throw Error(ErrorKind::kUsage, "report '{}': no format for the extension '{}'; use .json, .md, .html, .xml or .txt",
              path, extension);
}

std::string render(const Report& report, ReportFormat format) {
  switch (format) {
    case ReportFormat::kJson:
      return json_text(to_json(report));
    case ReportFormat::kMarkdown:
      return render_markdown(to_document(report));
    case ReportFormat::kHtml:
      return render_html(to_document(report));
    case ReportFormat::kJunit:
      return render_junit(report);
    case ReportFormat::kText:
      return render_text(to_document(report));
  }
  throw Error(ErrorKind::kInternal, "unknown report format");
}

}  // namespace narrow::report
