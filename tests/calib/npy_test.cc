#include <gtest/gtest.h>

#include "calib/readers/array_file.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

std::string refused(std::string_view content) {
  const TestFolder folder;
  const auto path = folder.file("x.npy", content);
  const std::string message = data_error([&] { read_npy(path); });
  const std::string prefix = quoted(path) + ": ";
  EXPECT_TRUE(message.starts_with(prefix)) << message;
  return message.substr(prefix.size());
}

const std::string kSix = bytes_of<float>({0, 1, 2, 3, 4, 5});

TEST(NpyTest, ReadsCOrder) {
  const TestFolder folder;
  const FileArray array = read_npy(folder.file("x.npy", npy("<f4", "(2, 3)", kSix)));
  EXPECT_EQ(array.type, DataType::kFloat32);
  EXPECT_EQ(array.shape, (Shape{2, 3}));
  const auto values = array.tensor.data<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{0, 1, 2, 3, 4, 5}));
}

// numpy: np.asfortranarray([[0, 2, 4], [1, 3, 5]]) is stored as 0 1 2 3 4 5.
TEST(NpyTest, ReadsFortranOrder) {
  const TestFolder folder;
  const FileArray array = read_npy(folder.file("x.npy", npy("<f4", "(2, 3)", kSix, "True")));
  const auto values = array.tensor.data<float>();
  EXPECT_EQ(std::vector<float>(values.begin(), values.end()), (std::vector<float>{0, 2, 4, 1, 3, 5}));
}

// Element [i, j, k] of a (2, 3, 2) array lies at i + 2 * (j + 3 * k).
TEST(NpyTest, ReadsFortranOrderOfThreeAxes) {
  const TestFolder folder;
  std::vector<uint8_t> stored(12);
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<uint8_t>(i);
  const FileArray array = read_npy(folder.file("x.npy", npy("|u1", "(2, 3, 2)", bytes_of(stored), "True")));
  const auto values = array.tensor.data<uint8_t>();
  EXPECT_EQ(std::vector<uint8_t>(values.begin(), values.end()),
            (std::vector<uint8_t>{0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11}));
}

TEST(NpyTest, ReadsEachTypeScalarsAndEmptyArrays) {
  const TestFolder folder;
  const std::vector<std::tuple<std::string, DataType, size_t>> types{
      {"<f2", DataType::kFloat16, 2}, {"<f8", DataType::kFloat64, 8}, {"|b1", DataType::kBool, 1},
      {"|i1", DataType::kInt8, 1},    {"<i2", DataType::kInt16, 2},   {"<i4", DataType::kInt32, 4},
      {"<i8", DataType::kInt64, 8},   {"<u2", DataType::kUint16, 2},  {"<u4", DataType::kUint32, 4},
      {"<u8", DataType::kUint64, 8}};
  for (const auto& [descr, type, width] : types) {
    const FileArray array = read_npy(folder.file("x.npy", npy(descr, "()", std::string(width, '\1'))));
    EXPECT_EQ(array.type, type);
    EXPECT_EQ(array.tensor.size(), 1);
    EXPECT_EQ(std::memcmp(array.tensor.bytes(), std::string(width, '\1').data(), width), 0);
  }
  EXPECT_EQ(read_npy(folder.file("x.npy", npy("<f4", "(0, 99999999999, 99999999999)", ""))).type, DataType::kFloat32);
}

TEST(NpyTest, ReadsVersions2And3AndUnalignedData) {
  const TestFolder folder;
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), } \n";  // data at an odd offset
  for (const char version : {'\2', '\3'}) {
    std::string text("\x93NUMPY", 6);
    text += version;
    text += std::string("\0", 1) + static_cast<char>(header.size()) + std::string(3, '\0') + header + kSix;
    const FileArray array = read_npy(folder.file("x.npy", text));
    EXPECT_EQ(array.tensor.data<float>()[5], 5.0F);
  }
}

TEST(NpyTest, RefusesWhatIsNoNpy) {
  EXPECT_EQ(refused(""), "not a .npy file: its first bytes are not NumPy's");
  EXPECT_EQ(refused("hello, world"), "not a .npy file: its first bytes are not NumPy's");
  EXPECT_EQ(refused("\x93NUMPY"), "the .npy header is truncated");
  EXPECT_EQ(refused(npy("<f4", "(6,)", kSix).substr(0, 40)), "the .npy header is truncated");
  std::string text = npy("<f4", "(6,)", kSix);
  text[6] = 9;
  EXPECT_EQ(refused(text), "version 9 of the .npy format is unknown");
}

TEST(NpyTest, RefusesAnotherLengthThanTheShapeNeeds) {
  EXPECT_EQ(refused(npy("<f4", "(2, 3)", kSix.substr(0, 20))),
            "has 20 bytes of elements, its shape [2,3] of float32 needs 24");
  EXPECT_EQ(refused(npy("<f4", "(2, 3)", kSix + "x")), "has 25 bytes of elements, its shape [2,3] of float32 needs 24");
  EXPECT_EQ(refused(npy("<f4", "(4611686018427387904, 4)", kSix)),
            "has 24 bytes of elements, its shape [4611686018427387904,4] of float32 needs more than any file has");
  EXPECT_EQ(refused(npy("<f4", "(1000000000000,)", kSix)),
            "has 24 bytes of elements, its shape [1000000000000] of float32 needs 4000000000000");
}

TEST(NpyTest, RefusesMaliciousHeaders) {
  EXPECT_EQ(refused(npy(">f4", "(6,)", kSix)), "element type '>f4' is big-endian, which is not supported");
  EXPECT_EQ(refused(npy("|O", "(6,)", kSix)),
            "elements are pickled Python objects, which are not supported; strings are '<U' arrays");
  EXPECT_EQ(refused(npy("<f4", "(-6,)", kSix)), "not a valid .npy header: bad shape");
  EXPECT_EQ(refused(npy("<f4", "(99999999999999999999,)", kSix)), "not a valid .npy header: bad shape");
  EXPECT_EQ(refused(npy("<f4", "(6", kSix)), "not a valid .npy header: bad shape");
  EXPECT_EQ(refused(npy("<f4", "(6,)", kSix, "Maybe")),
            "not a valid .npy header: 'fortran_order' is neither True nor False");
  EXPECT_EQ(refused(npy_with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", kSix)),
            "structured arrays are not supported");
  EXPECT_EQ(refused(npy_with_header("{'descr': '<f4', 'shape': (6,), }", kSix)),
            "not a valid .npy header: a key is missing");
  EXPECT_EQ(refused(npy_with_header("{'oops': '<f4', }", kSix)), "not a valid .npy header: unknown key 'oops'");
  EXPECT_EQ(refused(npy_with_header("{'descr", kSix)), "not a valid .npy header: a string does not end");
  std::string many = "(";
  for (int i = 0; i < 33; ++i) many += "1,";
  EXPECT_EQ(refused(npy("<f4", many + ")", kSix)), "not a valid .npy header: more than 32 dimensions");
}

TEST(RawTest, IsRowsOfTheInputsShape) {
  const TestFolder folder;
  const FileArray array = read_raw(folder.file("x.bin", kSix), DataType::kFloat32, {3});
  EXPECT_EQ(array.shape, (Shape{2, 3}));
  EXPECT_EQ(array.tensor.data<float>()[4], 4.0F);
  const auto path = folder.file("y.bin", "12345");
  EXPECT_EQ(data_error([&] { read_raw(path, DataType::kFloat32, {3}); }),
            quoted(path) + ": has 5 bytes, no multiple of the 12 that one sample of float32 [3] takes");
}

}  // namespace
}  // namespace narrow::calib
