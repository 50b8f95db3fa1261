#include <gtest/gtest.h>
#include <zip.h>

#include "calib/readers/array_file.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

struct ZipEntry {
  std::string name;
  std::string content;
  int32_t method = ZIP_CM_STORE;
};

std::filesystem::path write_zip(const TestFolder& folder, const std::vector<ZipEntry>& entries) {
  const auto path = folder / "x.npz";
  std::filesystem::remove(path);
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE, nullptr);
  for (const ZipEntry& entry : entries) {
    zip_source_t* source = zip_source_buffer(archive, entry.content.data(), entry.content.size(), 0);
    const auto index = zip_file_add(archive, entry.name.c_str(), source, 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), entry.method, 0);
  }
  EXPECT_EQ(zip_close(archive), 0);
  return path;
}

const std::string kMask = npy("<i8", "(1, 3)", bytes_of<int64_t>({1, 1, 0}));
const std::string kIds = npy("<i8", "(1, 3)", bytes_of<int64_t>({101, 7, 102}));

TEST(NpzTest, ReadsStoredAndDeflatedArraysByName) {
  const TestFolder folder;
  const auto path = write_zip(folder, {{"mask.npy", kMask, ZIP_CM_DEFLATE}, {"ids.npy", kIds, ZIP_CM_STORE}});
  const auto arrays = read_npz(path, Part::kAll);
  ASSERT_EQ(arrays.size(), 2U);
  EXPECT_EQ(arrays[0].name, "ids");
  EXPECT_EQ(arrays[0].shape, (Shape{1, 3}));
  EXPECT_EQ(arrays[0].tensor.data<int64_t>()[2], 102);
  EXPECT_EQ(arrays[1].name, "mask");
  EXPECT_EQ(arrays[1].tensor.data<int64_t>()[2], 0);
}

TEST(NpzTest, NamesAreTheBytesThatTheyAre) {
  const TestFolder folder;
  for (const std::string name : {"a\x01\t\x7F", "\x1B[31m", "a/b", "\xC3\xA9"}) {
    EXPECT_EQ(read_npz(write_zip(folder, {{name + ".npy", kMask}}), Part::kHeaders).at(0).name, name);
  }
}

TEST(NpzTest, HeadersTellShapesWithoutElements) {
  const TestFolder folder;
  const std::string large(1 << 20, '\3');
  const auto path = write_zip(folder, {{"x.npy", npy("|u1", "(1048576,)", large), ZIP_CM_DEFLATE}});
  const auto arrays = read_npz(path, Part::kHeaders);
  EXPECT_EQ(arrays[0].shape, (Shape{1048576}));
  EXPECT_FALSE(arrays[0].tensor.defined());
  EXPECT_EQ(read_npz(path, Part::kAll)[0].tensor.data<uint8_t>()[1048575], 3);
}

TEST(NpzTest, RefusesMalformedArchives) {
  const TestFolder folder;
  auto path = folder.file("bad.npz", "this is no archive, whatever its name says");
  EXPECT_EQ(data_error([&] { read_npz(path, Part::kAll); }),
            quoted(path) + ": not a readable .npz file: Not a zip archive");
  path = write_zip(folder, {{"readme.txt", "hello"}});
  EXPECT_EQ(data_error([&] { read_npz(path, Part::kAll); }), quoted(path) + ": entry 'readme.txt' is not a .npy");
  path = write_zip(folder, {{"a.npy", kMask.substr(0, kMask.size() - 1)}});
  EXPECT_EQ(data_error([&] { read_npz(path, Part::kHeaders); }),
            quoted(path) + ": array 'a': has 23 bytes of elements, its shape [1,3] of int64 needs 24");
}

TEST(NpzTest, RefusesACorruptEntry) {
  const TestFolder folder;
  const auto path = write_zip(folder, {{"a.npy", kMask}});
  std::string text = read_text(path);
  text[text.find(kMask) + kMask.size() - 1] = 9;
  write_file(path, text);
  EXPECT_EQ(data_error([&] { read_npz(path, Part::kAll); }), quoted(path) + ": array 'a': can not be read: CRC error");
}

}  // namespace
}  // namespace narrow::calib
