#include "lib/base/scratch_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "lib/base/mapped_pages.h"

namespace narrow {
namespace {

TEST(ScratchFile, HoldsWhatIsWritten) {
  constexpr size_t kSize = 100000;
  auto scratch = ScratchFile::create(kSize);
  if (scratch == nullptr) GTEST_SKIP() << "no temporary folder on a disk";
  const auto mapped = scratch->mapped();
  const std::array<std::byte, 3> bytes{std::byte{1}, std::byte{2}, std::byte{3}};
  ASSERT_TRUE(scratch->write(0, bytes));
  ASSERT_TRUE(scratch->write(kSize - bytes.size(), bytes));
  scratch.reset();  // the mapping lives on
  ASSERT_EQ(mapped->bytes().size(), kSize);
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), mapped->bytes().begin()));
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), mapped->bytes().end() - bytes.size()));
    EXPECT_EQ(mapped->bytes()[bytes.size()], std::byte{0});
    release_pages(mapped->bytes().data(), kSize);
  }
}

TEST(ScratchFile, TooLargeIsNone) {
  EXPECT_EQ(ScratchFile::create(size_t{1} << 60), nullptr);
}

// Memory that is no file's keeps what it holds.
TEST(MappedPages, OtherMemoryStays) {
  std::vector<std::byte> memory(100000, std::byte{7});
  release_pages(memory.data(), memory.size());
  EXPECT_EQ(std::count(memory.begin(), memory.end(), std::byte{7}), 100000);
  release_pages(nullptr, 0);
}

}  // namespace
}  // namespace narrow
