#include <gtest/gtest.h>

#include "calib/data_reader.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

class NamedSamples : public DataReader {
 public:
  explicit NamedSamples(std::vector<std::filesystem::path> files, int64_t samples)
      : files_(std::move(files)), samples_(samples) {}
  int64_t size() const override { return samples_; }
  int64_t samples() const override { return samples_; }
  exec::Feed read(int64_t) const override { return {}; }
  std::string source(int64_t) const override { return ""; }
  std::vector<std::filesystem::path> files() const override { return files_; }

 private:
  std::vector<std::filesystem::path> files_;
  int64_t samples_;
};

const NamedSamples kTwo({"images/a,b.jpg", "images/c.jpg"}, 2);

std::vector<int64_t> labels_of(std::string_view name, std::string_view content) {
  const TestFolder folder;
  return read_labels(folder.file(name, content), kTwo);
}

std::string refused(std::string_view name, std::string_view content, const DataReader& data = kTwo) {
  const TestFolder folder;
  const auto path = folder.file(name, content);
  const std::string message = data_error([&] { read_labels(path, data); });
  const std::string prefix = fmt::format("'{}': ", path.string());
  EXPECT_TRUE(message.starts_with(prefix)) << message;
  return message.substr(std::min(message.size(), prefix.size()));
}

TEST(LabelsTest, ReadEachFormat) {
  const std::vector<int64_t> expected{7, 300};
  EXPECT_EQ(labels_of("l.npy", npy("<i8", "(2,)", bytes_of<int64_t>({7, 300}))), expected);
  EXPECT_EQ(labels_of("l.npy", npy("<u2", "(2, 1)", bytes_of<uint16_t>({7, 300}))), expected);
  EXPECT_EQ(labels_of("l.txt", "7\r\n\n 300"), expected);
  EXPECT_EQ(labels_of("l.txt",
                      "\xEF\xBB\xBF"
                      "7\n300"),
            expected)
      << "a byte order mark";
  EXPECT_EQ(labels_of("l.csv", "file,label\nc.jpg,300\nother.jpg,1\n\"a,b.jpg\", 7\n"), expected);
  EXPECT_EQ(labels_of("l.csv", "c.jpg,300\na,b.jpg,7"), expected);
}

TEST(LabelsTest, RefuseAWrongNumber) {
  EXPECT_EQ(refused("l.txt", "1\n2\n3\n"), "3 labels for 2 samples");
  EXPECT_EQ(refused("l.npy", npy("<i4", "(1,)", bytes_of<int32_t>({1}))), "1 labels for 2 samples");
  EXPECT_EQ(refused("l.csv", "a.jpg,1", NamedSamples({"x.npy"}, 10)),
            "classes by file name need one file a sample; the data are 10 samples in 1 files");
}

TEST(LabelsTest, RefuseWhatIsNoClass) {
  EXPECT_EQ(refused("l.txt", "1\ncat\n"), "line 2: 'cat' is not a class number");
  EXPECT_EQ(refused("l.txt", "1\n-2\n"), "line 2: '-2' is not a class number");
  EXPECT_EQ(refused("l.npy", npy("<f4", "(2,)", bytes_of<float>({1, 2}))), "labels are float32, expected integers");
  EXPECT_EQ(refused("l.npy", npy("<i4", "(2,)", bytes_of<int32_t>({1, -2}))), "label 1 is -2, not a class number");
  EXPECT_EQ(refused("l.npy", npy("<i4", "(1, 2)", bytes_of<int32_t>({1, 2}))),
            "labels have shape [1,2], expected one class a sample");
  EXPECT_EQ(refused("l.csv", "file,label\na,b.jpg,7\n"), "no class for file 'c.jpg'");
  EXPECT_EQ(refused("l.csv", "c.jpg,7\nc.jpg,7\n"), "line 2: a second class for 'c.jpg'");
  EXPECT_EQ(refused("l.csv", "c.jpg;7\n"), "line 1: expected 'file name,class'");
  EXPECT_EQ(refused("l.xml", ""), "labels of unknown kind; usable are .npy, .txt, .csv");
}

}  // namespace
}  // namespace narrow::calib
