// What a user may do wrong: the exit code and the one line on stderr, and nothing left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/base/file.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// Quantizes with one thing replaced; the output must not appear.
class BadInput : public testing::Test {
 protected:
  Outcome quantize(const std::string& model, const std::string& data, const std::string& more = "") {
    const std::string config = more.find("--config") == std::string::npos ? " --config " + kConfig : "";
    const Outcome outcome = run_narrow("quantize " + model + " --data " + data + " -o " + folder_.path("out.onnx") +
                                       config + " --samples 4 --no-speed --quiet " + more);
    EXPECT_THAT(folder_.listing(), testing::Not(HasSubstr("out.onnx")));
    return outcome;
  }
  std::string write_model(const std::string& graph) {
    return folder_.write("model.onnx", graph_from_text(graph).proto().SerializeAsString());
  }

  TemporaryFolder folder_;
};

TEST_F(BadInput, ModelMissing) {
  expect_error(quantize("no/such.onnx", kData), 5, HasSubstr("'no/such.onnx': No such file or directory"));
}

TEST_F(BadInput, ModelEmpty) {
  expect_error(quantize(folder_.write("empty.onnx", ""), kData), 3, AllOf(HasSubstr("empty.onnx"), HasSubstr("empty")));
}

TEST_F(BadInput, ModelTruncated) {
  const std::string bytes = read_text(kModel);
  expect_error(quantize(folder_.write("cut.onnx", bytes.substr(0, bytes.size() / 2)), kData), 3, HasSubstr("cut.onnx"));
}

TEST_F(BadInput, ModelIsNoProtobuf) {
  expect_error(quantize(folder_.write("text.onnx", "this is not a model at all\n"), kData), 3, HasSubstr("text.onnx"));
}

TEST_F(BadInput, ModelIsAFolder) {
  expect_error(quantize("tests/data", kData), 5, HasSubstr("tests/data"));
}

TEST_F(BadInput, UnknownOperatorIsNamed) {
  const std::string model = write_model("g (float[N,1,32,32] image) => (float[N,1,32,32] y) { y = Frobnicate(image) }");
  expect_error(quantize(model, kData), 4, HasSubstr("Frobnicate"));
}

/// Found when the written model is validated.
TEST_F(BadInput, OperatorThatCanNotRunLeavesNoFile) {
  const std::string model = write_model(R"(g (float[N,1,32,32] image) => (float[N,1,32,32] y)
      <float[1,1,1,1] w = {2}> { c = Conv (image, w) y = RandomNormalLike (c) })");
  expect_error(quantize(model, kData, "--set mode=weight_only"), 4, HasSubstr("RandomNormalLike"));
}

TEST_F(BadInput, WhatNothingReadsNeedNotBePossible) {
  const std::string model = write_model(R"(g (float[N,1,32,32] image) => (float[N,1,32,32] y)
      <float[1,1,1,1] w = {2}> { y = Conv (image, w) dead = RandomNormalLike (y) })");
  for (const std::string more : {"", "--set mode=weight_only", "--set mode=dynamic"}) {
    const Outcome outcome = run_narrow("quantize " + model + " --data " + kData + " -o " + folder_.path("q.onnx") +
                                       " --config " + kConfig + " --samples 4 --no-speed --quiet " + more);
    EXPECT_EQ(outcome.exit_code, 0) << more << outcome.err;
    EXPECT_EQ(run_narrow("bench " + folder_.path("q.onnx") + " --seconds 0.01 --quiet").exit_code, 0) << more;
  }
}

TEST_F(BadInput, ModelIsQuantizedAlready) {
  const std::string model = write_model(
      "g (float[N,1,32,32] image) => (uint8[N,1,32,32] y) <float s = {0.5}, uint8 z = {0}>"
      "{ y = QuantizeLinear(image, s, z) }");
  expect_error(quantize(model, kData), 4, HasSubstr("quantized already"));
}

TEST_F(BadInput, DataMissing) {
  expect_error(quantize(kModel, "no/such.npy"), 5, HasSubstr("no/such.npy"));
}

TEST_F(BadInput, DataFolderEmpty) {
  std::filesystem::create_directory(folder_.path("empty"));
  expect_error(quantize(kModel, folder_.path("empty")), 5, HasSubstr(folder_.path("empty")));
}

TEST_F(BadInput, NamesWithControlCharactersAreSpelled) {
  graph::Model model = graph_from_text("g (float[1] x, float[1] z) => (float[1] y) { y = Add (x, z) }");
  const std::string name = "a\n\x1B[31m\xC2\x9B";  // the last: a control beyond ASCII
  model.mutable_graph().mutable_input(0)->set_name(name);
  model.mutable_graph().mutable_node(0)->set_input(0, name);
  const std::string file = folder_.write("model.onnx", model.proto().SerializeAsString());
  folder_.write("data/z.npy", npy("<f4", "1, 1", std::string(4, '\0')));
  const Outcome run =
      run_narrow("run " + file + " --data " + folder_.path("data") + " --quiet -o " + folder_.path("y.npz"));
  expect_error(run, 5, HasSubstr("input 'a\\x0a\\x1b[31m\\xc2\\x9b'"));
}

TEST_F(BadInput, DataOfTheWrongShape) {
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 1, 31, 32", std::string(2 * 31 * 32 * 4, '\0')));
  expect_error(quantize(kModel, data), 5, AllOf(HasSubstr("d.npy"), HasSubstr("image")));
}

TEST_F(BadInput, DataOfTheWrongType) {
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 3", std::string(2 * 3 * 4, '\0')));
  const std::string config = folder_.write("c.json", "{}");
  const std::string model = write_model("g (int64[N,3] x) => (int64[N,3] y) { y = Neg(x) }");
  expect_error(quantize(model, data, "--config " + config), 5,
               AllOf(HasSubstr("d.npy"), HasSubstr("the data are float32, the input wants int64")));
}

TEST_F(BadInput, DataWithNan) {
  std::string elements(2 * 32 * 32 * 4, '\0');
  elements.replace(100 * 4, 4, std::string("\x00\x00\xc0\x7f", 4));
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 1, 32, 32", elements));
  const std::string config = folder_.write("c.json", "{}");
  expect_error(quantize(kModel, data, "--config " + config), 5, AllOf(HasSubstr("d.npy"), HasSubstr("NaN")));
}

TEST_F(BadInput, DataTruncated) {
  const std::string data = folder_.write("d.npy", read_text(kData).substr(0, 5000));
  expect_error(quantize(kModel, data), 5, HasSubstr("d.npy"));
}

TEST_F(BadInput, ImageUnreadable) {
  const std::string image = folder_.write("images/a.png", "not a picture");
  expect_error(quantize(kModel, folder_.path("images")), 5, HasSubstr("a.png"));
}

TEST_F(BadInput, ConfigNamesAnInputThatIsNotThere) {
  const std::string config = folder_.write("c.json", R"({"inputs": {"imgae": {"scale": 1}}})");
  expect_error(quantize(kModel, kData, "--config " + config), 2, AllOf(HasSubstr("imgae"), HasSubstr("image")));
}

TEST_F(BadInput, ConfigMissing) {
  expect_error(quantize(kModel, kData, "--config no/such.json"), 5, HasSubstr("no/such.json"));
}

TEST_F(BadInput, ConfigIsNoJson) {
  const std::string config = folder_.write("c.json", "{\n  \"rules\": [,]\n}");
  expect_error(quantize(kModel, kData, "--config " + config), 2, HasSubstr("c.json:2:13: not valid JSON"));
}

TEST_F(BadInput, ConfigWithAnUnknownKey) {
  const std::string config = folder_.write("c.json", R"({"calibraton": {"method": "mse"}})");
  expect_error(quantize(kModel, kData, "--config " + config), 2,
               HasSubstr("c.json:1: calibraton: unknown key; did you mean 'calibration'?"));
}

TEST_F(BadInput, ConfigWithAValueOfTheWrongType) {
  const std::string config = folder_.write("c.json", R"({"calibration": {"samples": "many"}})");
  expect_error(quantize(kModel, kData, "--config " + config), 2,
               HasSubstr("c.json:1: calibration.samples: expected an integer"));
}

TEST_F(BadInput, ConfigWithAnUnknownTarget) {
  const std::string config = folder_.write("c.json", R"({"target": "onnxruntim"})");
  expect_error(quantize(kModel, kData, "--config " + config), 2,
               HasSubstr("c.json:1: target: unknown target 'onnxruntim'; did you mean 'onnxruntime'?"));
}

TEST_F(BadInput, RuleThatMatchesNothing) {
  const std::string config = folder_.write("c.json", R"({"rules": [{"match": {"op": "Convv"}, "keep": "float32"}],
    "inputs": {"image": {"layout": "NCHW", "scale": 0.0078431, "mean": [1], "std": [1]}}})");
  expect_error(quantize(kModel, kData, "--config " + config), 2,
               HasSubstr("c.json:1: rules[0] (op Convv) matches no node; did you mean 'Conv'?"));
}

TEST_F(BadInput, RuleWithAnInvalidRegex) {
  const std::string config = folder_.write("c.json", R"-({"rules": [{"match": {"regex": "a(?=b)"}}]})-");
  expect_error(quantize(kModel, kData, "--config " + config), 2,
               HasSubstr("c.json:1: rules[0].match.regex: 'a(?=b)' is not a regular expression: invalid"));
}

TEST_F(BadInput, LabelsOfTheWrongNumber) {
  expect_error(quantize(kModel, kData, "--labels tests/data/glyphs_eval_labels.npy"), 5,
               AllOf(HasSubstr("glyphs_eval_labels.npy"), HasSubstr("500"), HasSubstr("200")));
}

TEST_F(BadInput, GateWithoutLabels) {
  expect_error(quantize(kModel, kData, "--max-top1-drop 1"), 2, HasSubstr("gate max_top1_drop needs labels"));
}

TEST_F(BadInput, ReportOfAnUnknownKind) {
  expect_error(quantize(kModel, kData, "--report r.pdf"), 2, HasSubstr("no format for the extension '.pdf'"));
}

TEST_F(BadInput, CalibrationTableOfAnotherModel) {
  const std::string table = folder_.write("t.json", R"({"format": "narrow-calibration", "version": 2,
    "model_sha256": "00", "data": "", "samples": 1, "values": {}})");
  expect_error(quantize(kModel, kData, "--calibration " + table), 2,
               AllOf(HasSubstr("t.json"), HasSubstr("another model")));
}

TEST_F(BadInput, PlanOfAnotherModel) {
  const std::string plan = folder_.write("p.json", R"({"format": "narrow-plan", "version": 1, "model_sha256": "00",
    "layers": [], "values": []})");
  expect_error(quantize(kModel, kData, "--plan " + plan), 2, AllOf(HasSubstr("p.json"), HasSubstr("another model")));
}

TEST(BadOutput, FolderMissing) {
  expect_error(run_narrow(kQuantize + " -o no/such/folder/out.onnx"), 5,
               HasSubstr("folder 'no/such/folder' does not exist"));
}

TEST(BadOutput, FolderIsAFile) {
  expect_error(run_narrow(kQuantize + " -o " + kConfig + "/out.onnx"), 5, HasSubstr("can not"));
}

TEST(BadOutput, FolderIsReadOnly) {
  // Root may write everywhere but where the system itself says no.
  expect_error(run_narrow(kQuantize + " -o /proc/self/out.onnx"), 5, HasSubstr("/proc/self/out.onnx"));
}

TEST(BadOutput, IsAFolder) {
  expect_error(run_narrow(kQuantize + " -o tests"), 5, HasSubstr("'tests': it is a folder"));
}

TEST(BadOutput, DiskFull) {
  expect_error(run_narrow(kQuantize + " -o /dev/full"), 5, HasSubstr("'/dev/full': No space left on device"));
}

TEST_F(BadInput, GatesThatCanNotBeMeant) {
  expect_error(quantize(kModel, kData, "--min-agreement 97"), 2, HasSubstr("97 is not a share from 0 to 1"));
  expect_error(quantize(kModel, kData, "--min-sqnr nan"), 2, HasSubstr("--min-sqnr: nan is not a number"));
}

}  // namespace
}  // namespace narrow::test
