#include "apps/npz.h"

#include <gtest/gtest.h>

#include "lib/base/error.h"
#include "lib/base/file.h"
#include "tests/apps/program.h"

namespace narrow::apps {
namespace {

/// The bytes of a stored member follow its local header: 30 bytes, the name, the extra field (APPNOTE.TXT 4.3.7).
std::string first_member(const std::string& zip) {
  const auto number = [&](size_t at) {
    return static_cast<size_t>(static_cast<unsigned char>(zip[at])) |
           static_cast<size_t>(static_cast<unsigned char>(zip[at + 1])) << 8U;
  };
  EXPECT_EQ(zip.substr(0, 4), "PK\x03\x04");
  EXPECT_EQ(number(8), 0U) << "stored, not compressed";
  return zip.substr(30 + number(26) + number(28));
}

TEST(Npz, MembersAreNumpyArrays) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path("a.npz");
  write_npz(path, {{"y", Tensor::of<float>({2, 3}, {0, 1, 2, 3, 4, 5})}});
  const std::string member = first_member(read_text(path));
  EXPECT_EQ(member.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const size_t header = static_cast<unsigned char>(member[8]);
  EXPECT_EQ((10 + header) % 64, 0U);
  EXPECT_EQ(member.substr(10, 59), "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  EXPECT_EQ(member[10 + header - 1], '\n');
  EXPECT_EQ(member.substr(10 + header + 5 * 4, 4), std::string("\x00\x00\xa0\x40", 4));  // 5.0F
}

TEST(Npz, ShapesOfRankZeroAndOne) {
  const test::TemporaryFolder folder;
  write_npz(folder.path("a.npz"), {{"x", Tensor::scalar<int64_t>(7)}});
  EXPECT_NE(read_text(folder.path("a.npz")).find("'<i8', 'fortran_order': False, 'shape': (), }"), std::string::npos);
  write_npz(folder.path("b.npz"), {{"x", Tensor::of<uint8_t>({3}, {1, 2, 3})}});
  EXPECT_NE(read_text(folder.path("b.npz")).find("'|u1', 'fortran_order': False, 'shape': (3,), }"), std::string::npos);
}

TEST(Npz, ChannelsLastIsWrittenInLogicalOrder) {
  const test::TemporaryFolder folder;
  const Tensor plain = Tensor::of<float>({1, 2, 1, 2}, {1, 2, 3, 4});
  write_npz(folder.path("a.npz"), {{"x", plain}});
  write_npz(folder.path("b.npz"), {{"x", to_layout(plain, Layout::kChannelsLast)}});
  EXPECT_EQ(read_text(folder.path("a.npz")), read_text(folder.path("b.npz")));
}

// np.array(["a", "日é"]) is '<U2': UTF-32, filled up with zeros.
TEST(Npz, StringsAreCodePoints) {
  const test::TemporaryFolder folder;
  write_npz(folder.path("a.npz"), {{"x", Tensor::of_strings({2}, {"a", "\xE6\x97\xA5\xC3\xA9"})}});
  const std::string member = first_member(read_text(folder.path("a.npz")));
  EXPECT_NE(member.find("{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }"), std::string::npos);
  const size_t header = 10 + static_cast<unsigned char>(member[8]);
  EXPECT_EQ(member.substr(header, 16), std::string("a\0\0\0\0\0\0\0\xE5\x65\0\0\xE9\0\0\0", 16));
}

// Python takes names without the mark of UTF-8 for code page 437, in which ASCII is ASCII.
TEST(Npz, NamesMayHoldControlCharacters) {
  const test::TemporaryFolder folder;
  write_npz(folder.path("a.npz"), {{"a\x01", Tensor::scalar(1.0F)}});
  const std::string bytes = read_text(folder.path("a.npz"));
  EXPECT_NE(bytes.find("a\x01.npy"), std::string::npos);
  EXPECT_EQ(bytes[7] & 8, 0) << "bit 11 of the flags is UTF-8 (APPNOTE.TXT 4.4.4)";
  EXPECT_THROW(write_npz(folder.path("a.npz"), {{std::string("a\0b", 3), Tensor::scalar(1.0F)}}), Error);
}

TEST(Npz, WhatNumpyHasNotIsRefused) {
  const test::TemporaryFolder folder;
  const std::vector<Tensor> values{Tensor::of_strings({1}, {"\xFF"}), Tensor::of_strings({1}, {std::string("a\0", 2)}),
                                   Tensor::of_sequence({}), Tensor::empty_optional()};
  for (const Tensor& value : values) {
    EXPECT_TRUE(numpy_lack(value).has_value());
    EXPECT_THROW(write_npz(folder.path("a.npz"), {{"x", value}}), Error);
  }
  EXPECT_FALSE(numpy_lack(Tensor::of_strings({1}, {"word"})).has_value());
  EXPECT_EQ(folder.listing(), "");
}

}  // namespace
}  // namespace narrow::apps
