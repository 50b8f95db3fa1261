#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "lib/io/load.h"
#include "tests/support/model_text.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

graph::Model small_model() {
  return io::check_model(
      test::graph_from_text("agraph (float[N,3] x) => (float[N,3] y) <float[3] b = {1, 2, 3}> { y = Add (x, b) }")
          .proto());
}

TEST(SaveTest, UnknownFieldsAndMetadataSurvive) {
  const test::TempFolder folder;
  graph::Model model = small_model();
  auto* property = model.mutable_proto().add_metadata_props();
  property->set_key("author");
  property->set_value("us");
  // Field 1000 is nobody's: what a newer ONNX might write.
  std::string bytes = model.proto().SerializeAsString() + std::string("\xC2\x3E\x02hi", 5);
  write_file(folder / "in.onnx", bytes);
  io::save_model(io::load_model(folder / "in.onnx"), folder / "out.onnx");
  const std::string written = read_text(folder / "out.onnx");
  EXPECT_NE(written.find(std::string("\xC2\x3E\x02hi", 5)), std::string::npos);
  EXPECT_NE(written.find("author"), std::string::npos);
}

TEST(SaveTest, AFailureLeavesTheOldFile) {
  const test::TempFolder folder;
  EXPECT_THROW(io::save_model(small_model(), folder / "none" / "m.onnx"), Error);
  EXPECT_THROW(io::save_model(small_model(), "/dev/full"), Error);
  write_file(folder / "file", "x");
  EXPECT_THROW(io::save_model(small_model(), folder / "file" / "m.onnx"), Error);
  EXPECT_EQ(read_text(folder / "file"), "x");
}

TEST(SaveTest, UncommittedFilesVanish) {
  const test::TempFolder folder;
  {
    AtomicFile file(folder / "m.onnx");
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SaveTest, OnlyTheUsersOwnValueInfosAreSaved) {
  const test::TempFolder folder;
  const graph::Model text = test::graph_from_text(
      "agraph (float[N,3] x) => (float[N,3] y) <float[N,3] told> { told = Relu (x) other = Relu (told) y = Neg (other) "
      "}");
  ASSERT_EQ(text.graph().value_info_size(), 1);
  graph::Model model = io::check_model(text.proto());
  EXPECT_EQ(model.graph().value_info_size(), 2);
  io::save_model(model, folder / "m.onnx");
  EXPECT_EQ(model.graph().value_info_size(), 2);
  onnx::ModelProto saved;
  ASSERT_TRUE(saved.ParseFromString(read_text(folder / "m.onnx")));
  ASSERT_EQ(saved.graph().value_info_size(), 1);
  EXPECT_EQ(saved.graph().value_info(0).name(), "told");
  EXPECT_EQ(io::saved_bytes(model), static_cast<int64_t>(read_text(folder / "m.onnx").size()));
}

TEST(SaveTest, TheSameModelGivesTheSameBytes) {
  const test::TempFolder folder;
  io::save_model(small_model(), folder / "a.onnx");
  io::save_model(small_model(), folder / "b.onnx");
  EXPECT_EQ(read_text(folder / "a.onnx"), read_text(folder / "b.onnx"));
}

}  // namespace
}  // namespace narrow
