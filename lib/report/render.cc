#include <array>
#include <filesystem>

#include "lib/report/report.h"
#include "lib/report/tuning.h"

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

/// The page, with the picture of a search at its end: other forms have no pictures.
std::string page(const Report& report) {
  std::string html = render_html(to_document(report));
  if (!report.tuning) return html;
  const std::string picture = tuning_picture(*report.tuning, report.float_model.file_bytes);
  return html.insert(html.rfind("</body>"), picture);
}

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
      return page(report);
    case ReportFormat::kJunit:
      return render_junit({.name = "narrow " + report.command, .subject = report.quantized_model.path}, report.gates);
    case ReportFormat::kText:
      return render_text(to_document(report));
  }
  throw Error(ErrorKind::kInternal, "unknown report format");
}

}  // namespace narrow::report
