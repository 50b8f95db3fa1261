#include "lib/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lib/base/error.h"
#include "lib/base/made_folder.h"
#include "tests/support/temp_folder.h"

namespace narrow {
namespace {

// FIPS 180-2, appendix B, and the digest of nothing.
TEST(Sha256Test, PublishedDigests) {
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256Test, OfAFileLongerThanAPieceIsThatOfItsBytes) {
  const test::TempFolder folder;
  std::string content((size_t{9} << 20) + 17, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 7);
  write_file(folder / "long", content);
  write_file(folder / "empty", "");
  EXPECT_EQ(sha256_of_file(folder / "long"), sha256(content));
  EXPECT_EQ(sha256_of_file(folder / "empty"), sha256(""));
}

TEST(MappedFileTest, ReleasedBytesComeBack) {
  const test::TempFolder folder;
  const std::string content(size_t{1} << 20, 'x');
  write_file(folder / "file", content);
  const MappedFile file(folder / "file");
  EXPECT_EQ(file.text(), content);
  file.release();
  EXPECT_EQ(file.text(), content);
}

TEST(MappedFileTest, APipeIsRefusedAndNotWaitedFor) {
  const test::TempFolder folder;
  const std::string pipe = (folder / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(const MappedFile file(pipe), Error);
}

TEST(MadeFolder, RemovesWhatItMadeAndNobodyUsed) {
  const test::TempFolder folder;
  {
    const MadeFolder made(folder.path() / "a" / "b" / "c/");
    EXPECT_TRUE(std::filesystem::is_directory(folder.path() / "a/b/c"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  std::filesystem::create_directory(folder.path() / "old");
  {
    const MadeFolder made(folder.path() / "old");
    const MadeFolder used(folder.path() / "new" / "inner");
    write_file(folder.path() / "new" / "file", "x");
  }
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "old"));
  EXPECT_TRUE(std::filesystem::exists(folder.path() / "new/file"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "new/inner"));
  EXPECT_THROW(MadeFolder(folder.path() / "new/file"), Error);
  EXPECT_THROW(MadeFolder(folder.path() / "new/file/below"), Error);
}

}  // namespace
}  // namespace narrow
