#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "lib/base/file.h"
#include "lib/report/warnings.h"
#include "tests/report/sample_report.h"

namespace narrow::report {
namespace {

/// The rendering must equal tests/golden/report/<name>; NARROW_UPDATE_GOLDENS=1 writes the file for a person to review.
void expect_golden(const std::string& rendered, const std::string& name) {
  const std::string path = "tests/golden/report/" + name;
  if (std::getenv("NARROW_UPDATE_GOLDENS") != nullptr) write_file(path, rendered);
  EXPECT_EQ(rendered, read_text(path)) << path;
}

TEST(ReportGolden, Text) {
  expect_golden(render(test::sample_report(), ReportFormat::kText), "sample.txt");
}
TEST(ReportGolden, Json) {
  expect_golden(render(test::sample_report(), ReportFormat::kJson), "sample.json");
}
TEST(ReportGolden, Markdown) {
  expect_golden(render(test::sample_report(), ReportFormat::kMarkdown), "sample.md");
}
TEST(ReportGolden, Html) {
  expect_golden(render(test::sample_report(), ReportFormat::kHtml), "sample.html");
}
TEST(ReportGolden, Junit) {
  expect_golden(render(test::sample_report(), ReportFormat::kJunit), "sample.xml");
}

TEST(Report, JsonSpellsNumbersThatJsonHasNot) {
  Report report = test::sample_report();
  report.validation->outputs[0].metrics.sqnr_db = -std::numeric_limits<double>::infinity();
  report.validation->outputs[0].metrics.cosine = std::numeric_limits<double>::quiet_NaN();
  const Json outputs = to_json(report)["validation"]["outputs"];
  EXPECT_EQ(outputs[0]["sqnr_db"], "-inf");
  EXPECT_TRUE(outputs[0]["cosine"].is_null());
  EXPECT_EQ(outputs[1]["sqnr_db"], "inf");
}

TEST(Report, JsonHasEveryKeyThatItsSchemaRequires) {
  const Json schema = read_json("configs/report.schema.json");
  const Json json = to_json(test::sample_report());
  for (const auto& key : schema["required"]) EXPECT_TRUE(json.contains(key.get<std::string>())) << key;
  EXPECT_EQ(json.size(), schema["properties"].size());
  // What did not happen is null, not left out.
  const Json empty = to_json(Report{});
  EXPECT_TRUE(empty["validation"].is_null());
  EXPECT_TRUE(empty["plan"].is_null());
  EXPECT_TRUE(empty["passed"].get<bool>());
}

TEST(Report, FormatIsPickedByExtension) {
  EXPECT_EQ(report_format_of("a/b.json"), ReportFormat::kJson);
  EXPECT_EQ(report_format_of("b.md"), ReportFormat::kMarkdown);
  EXPECT_EQ(report_format_of("b.html"), ReportFormat::kHtml);
  EXPECT_EQ(report_format_of("b.xml"), ReportFormat::kJunit);
  EXPECT_EQ(report_format_of("b.txt"), ReportFormat::kText);
  try {
    report_format_of("report.pdf");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_STREQ(error.what(),
                 "report 'report.pdf': no format for the extension '.pdf'; use .json, .md, .html, .xml or .txt");
  }
}

TEST(Report, WorstLayersComeFirstAndNanIsWorst) {
  Report report = test::sample_report();
  report.validation->layers.push_back({"broken", "n", "Conv", {std::numeric_limits<double>::quiet_NaN(), 0, 1}});
  const std::string text = render(report, ReportFormat::kText);
  const size_t nan = text.find("broken");
  const size_t worst = text.find("conv_out");
  const size_t best = text.find("image  ");
  EXPECT_LT(nan, worst);
  EXPECT_LT(worst, best);
  EXPECT_NE(best, std::string::npos);
}

TEST(Report, NodesWithOneKindOfReasonShareALine) {
  Report report = test::sample_report();
  const auto add = [&](const std::string& node, const std::string& op, ReasonCode code, const std::string& detail) {
    report.validation->coverage.nodes.push_back(
        {.node = node, .op_type = op, .integer = false, .reason = Reason{code, detail}, .macs = 10});
  };
  add("a", "Conv", ReasonCode::kNoRange, "'x'");
  add("b", "Conv", ReasonCode::kNoRange, "'y'");
  add("c", "Conv", ReasonCode::kNeighbourFloat, "");
  add("d", "Resize", ReasonCode::kNoIntegerKernel, "cubic");
  add("e", "Resize", ReasonCode::kNoIntegerKernel, "cubic");
  const std::string text = render(report, ReportFormat::kMarkdown);
  const std::string no_range(reason_sentence(ReasonCode::kNoRange));
  const std::string no_kernel(reason_sentence(ReasonCode::kNoIntegerKernel));
  EXPECT_NE(text.find("| Conv | 2 | 20 | a | " + no_range + " (the first: 'x') |"), std::string::npos) << text;
  EXPECT_NE(text.find("| Conv | 1 | 10 | c |"), std::string::npos);
  EXPECT_NE(text.find("| Resize | 2 | 20 | d | " + no_kernel + ": cubic |"), std::string::npos) << text;
}

TEST(Report, OutputsInWhichLittleIsLeftAreNamed) {
  Report report = test::sample_report();
  EXPECT_TRUE(lost_warnings(report).empty());
  validate::OutputComparison& output = report.validation->outputs[1];
  output.agreement.reset();
  output.metrics.sqnr_db = 9.9;
  const std::string what = "output '" + output.name + "': little is left of the float model (SQNR 9.9 dB";
  const std::string advice = "): give its layers more bits, or see narrow tune";
  EXPECT_EQ(lost_warnings(report), std::vector<std::string>{what + advice});
  output.agreement = 0.9;
  EXPECT_TRUE(lost_warnings(report).empty()) << "its classes are what counts";
  output.agreement = 0.502;
  EXPECT_EQ(lost_warnings(report), std::vector<std::string>{what + ", agreement 50.2 %" + advice});
}

TEST(Report, ResultsThatAreNotFiniteAreNamedWithWhatToDo) {
  Report report = test::sample_report();
  EXPECT_TRUE(not_finite_warnings(report).empty());
  report.validation->outputs[1].not_finite = 1200;
  report.validation->outputs[1].elements = 4096;
  const std::string what = "output '" + report.validation->outputs[1].name +
                           "': 1,200 of 4,096 elements are NaN or infinite where the float model's are finite";
  const std::string keep = "keep the nodes whose values leave its range float32 (a rule with keep: \"float32\")";
  EXPECT_EQ(not_finite_warnings(report), std::vector<std::string>{what});
  report.validation->half_type = DataType::kFloat16;
  EXPECT_EQ(not_finite_warnings(report),
            std::vector<std::string>{what + ": float16 ends at 65504; " + keep + ", or take mode bfloat16"});
  report.validation->half_type = DataType::kBfloat16;
  EXPECT_EQ(not_finite_warnings(report), std::vector<std::string>{what + ": " + keep});
  EXPECT_NE(to_json(report).dump().find("\"not_finite\":1200,\"elements\":4096"), std::string::npos);
}

TEST(Report, SamplesThatCouldNotBeComparedAreNamed) {
  Report report = test::sample_report();
  EXPECT_EQ(render(report, ReportFormat::kText).find("left out: this output"), std::string::npos);
  report.validation->outputs[0].not_comparable = 3;
  EXPECT_NE(render(report, ReportFormat::kText).find("3 samples left out: this output"), std::string::npos);
  EXPECT_NE(to_json(report).dump().find("\"not_comparable\":3"), std::string::npos);
}

}  // namespace
}  // namespace narrow::report
