// Nothing that a command reads is overwritten by what it writes, under whatever name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lib/base/file.h"
#include "tests/apps/program.h"
#include "tests/support/model_text.h"

namespace narrow::test {
namespace {

using testing::HasSubstr;

class Overwrite : public testing::Test {
 protected:
  std::string write_model(const std::string& graph) {
    return folder_.write("model.onnx", graph_from_text(graph).proto().SerializeAsString());
  }

  TemporaryFolder folder_;
};

TEST_F(Overwrite, TheModelItself) {
  expect_error(run_narrow(kQuantize + " -o " + kModel), 2, HasSubstr("would overwrite the model"));
}

TEST_F(Overwrite, NothingThatIsReadIsOverwritten) {
  const std::string config = folder_.write("config.json", read_text(kConfig));
  const std::string model = folder_.write("in.onnx", read_text(kModel));
  const auto quantize_into = [&](const std::string& more) {
    return run_narrow("quantize " + model + " --data " + kData + " --samples 4 --no-speed --quiet --config " + config +
                      " " + more);
  };
  expect_error(quantize_into("-o " + model), 2, HasSubstr("--output '" + model + "' would overwrite the model"));
  expect_error(quantize_into("-o " + folder_.path("out.onnx") + " --report " + config), 2,
               HasSubstr("would overwrite --config"));
  expect_error(quantize_into("-o " + folder_.path("same.json") + " --report " + folder_.path("same.json")), 2,
               HasSubstr("--output and --report are both"));
  expect_error(run_narrow("calibrate " + model + " --data " + kData + " --quiet -o " + model), 2,
               HasSubstr("would overwrite the model"));
  EXPECT_EQ(read_text(model), read_text(kModel));
  EXPECT_EQ(read_text(config), read_text(kConfig));
}

/// A model whose weight lies in `weights` beside it.
std::string model_with_external_data(const TemporaryFolder& folder, const std::string& weights) {
  onnx::ModelProto proto =
      graph_from_text("g (float[N,3] x) => (float[N,3] y) <float[3] w = {1, 2, 3}> { y = Add (x, w) }").proto();
  onnx::TensorProto& tensor = *proto.mutable_graph()->mutable_initializer(0);
  tensor.clear_float_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  onnx::StringStringEntryProto& entry = *tensor.add_external_data();
  entry.set_key("location");
  entry.set_value(weights);
  folder.write(weights, std::string(12, '\0'));
  return folder.write("in.onnx", proto.SerializeAsString());
}

TEST_F(Overwrite, ExternalDataIsNotOverwritten) {
  const std::string model = model_with_external_data(folder_, "w.json");
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 3", std::string(24, '\1')));
  const std::string line = "would overwrite external data of the model '" + model + "'";
  std::filesystem::create_symlink("w.json", folder_.path("link.json"));
  for (const std::string name : {"w.json", "link.json"}) {
    const std::string path = folder_.path(name);
    const std::string quantize = "quantize " + model + " --data " + data + " --quiet -o ";
    expect_error(run_narrow(quantize + path), 2, HasSubstr("--output '" + path + "' " + line));
    expect_error(run_narrow(quantize + folder_.path("out.onnx") + " --report " + path), 2,
                 HasSubstr("--report '" + path + "' " + line));
    expect_error(run_narrow("calibrate " + model + " --data " + data + " --quiet -o " + path), 2, HasSubstr(line));
    expect_error(run_narrow("validate " + kModel + " " + model + " --data " + kData + " --quiet --report " + path), 2,
                 HasSubstr(line));
  }
  EXPECT_EQ(folder_.listing(), "d.npy in.onnx link.json w.json");
  EXPECT_EQ(read_text(folder_.path("w.json")), std::string(12, '\0'));
}

// A plan is for one model: other weights in the data file make another.
TEST_F(Overwrite, OtherExternalDataMakesAnotherModel) {
  const std::string model = model_with_external_data(folder_, "w.bin");
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 3", std::string(24, '\1')));
  const std::string plan = folder_.path("plan.json");
  const std::string out = " --quiet -o " + folder_.path("out.onnx");
  EXPECT_EQ(run_narrow("quantize " + model + " --data " + data + out + " --plan-out " + plan).exit_code, 0);
  EXPECT_EQ(run_narrow("quantize " + model + " --plan " + plan + out).exit_code, 0);
  folder_.write("w.bin", std::string(12, '\1'));
  expect_error(run_narrow("quantize " + model + " --plan " + plan + out), 2, HasSubstr("made for another model"));
}

TEST_F(Overwrite, TheDataFileOfALargeOutputOverwritesNothing) {
  const std::string model = model_with_external_data(folder_, "out.onnx.data");
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 3", std::string(24, '\1')));
  expect_error(run_narrow("quantize " + model + " --data " + data + " --quiet -o " + folder_.path("out.onnx")), 2,
               HasSubstr("the data file of --output"));
}

TEST_F(Overwrite, FilesOfADataFolderAreNotOverwritten) {
  const std::string array = read_text(kData);
  folder_.write("data/a.npy", array);
  const std::string set = folder_.write("data/b.npy", array);
  expect_error(run_narrow("calibrate " + kModel + " --config " + kConfig + " --data " + folder_.path("data") +
                          " --quiet -o " + set),
               2, HasSubstr("--output '" + set + "' would overwrite a file of the data"));
  EXPECT_EQ(read_text(set), array);
}

TEST_F(Overwrite, OutputsOfRunDoNotOverwriteItsData) {
  const std::string first = write_model("g (float[N,3] x) => (float[N,3] y) { y = Relu (x) }");
  const std::string data = folder_.write("d.npy", npy("<f4", "2, 3", std::string(24, '\1')));
  ASSERT_EQ(run_narrow("run " + first + " --data " + data + " --quiet -o " + folder_.path("o")).exit_code, 0);
  const std::string second = write_model("g (float[N,3] y) => (float[N,3] z) { z = Relu (y) }");
  const std::string before = read_text(folder_.path("o/feed_000000.npz"));
  expect_error(run_narrow("run " + second + " --data " + folder_.path("o") + " --quiet -o " + folder_.path("o")), 2,
               HasSubstr("would overwrite a file of the data"));
  EXPECT_EQ(read_text(folder_.path("o/feed_000000.npz")), before);
}

}  // namespace
}  // namespace narrow::test
