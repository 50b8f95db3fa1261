// Tensors in files that are read in another order.
#include "lib/graph/viewed_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>

#include "lib/base/error.h"
#include "lib/graph/external_data.h"
#include "lib/graph/widened_data.h"
#include "lib/tensor/convert.h"
#include "tests/support/temp_folder.h"

namespace narrow::graph {
namespace {

constexpr int64_t kInFront = 24;  // bytes of the file before the tensor

/// In a file: element i is i, as float32 or, where it is `half`, as the float16 of its remainder by 2048.
onnx::TensorProto stored(const test::TempFolder& folder, const Shape& shape, bool half = false) {
  std::vector<float> values(static_cast<size_t>(element_count(shape)));
  std::iota(values.begin(), values.end(), 0.0F);
  Tensor tensor = Tensor::of<float>(shape, std::span<const float>(values));
  if (half) {
    for (float& value : tensor.mutable_data<float>()) value = static_cast<float>(static_cast<int64_t>(value) % 2048);
    Workspace workspace;
    tensor = convert_elements(tensor, DataType::kFloat16, workspace);
  }
  std::ofstream file(folder / "data", std::ios::binary);
  file << std::string(kInFront, 'x');
  file.write(reinterpret_cast<const char*>(tensor.bytes()), static_cast<std::streamsize>(tensor.byte_size()));
  onnx::TensorProto proto;
  proto.set_name("w");
  proto.set_data_type(static_cast<int32_t>(tensor.type()));
  for (const int64_t size : shape) proto.add_dims(size);
  set_external(proto, {.location = "data", .offset = kInFront, .length = tensor.byte_size()});
  return proto;
}

/// Where the element that comes to `place` of the transposed tensor was, by the definition of Transpose.
size_t source_of(size_t place, const Shape& before, const std::vector<int64_t>& permutation) {
  std::vector<size_t> strides(before.size(), 1);
  for (size_t i = before.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * static_cast<size_t>(before[i + 1]);
  size_t from = 0;
  for (size_t i = permutation.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(permutation[i]);
    from += place % static_cast<size_t>(before[axis]) * strides[axis];
    place /= static_cast<size_t>(before[axis]);
  }
  return from;
}

void expect_transposed(const Tensor& read, const Shape& before, const std::vector<int64_t>& permutation,
                       int64_t modulus = int64_t{1} << 24) {
  ASSERT_EQ(read.rank(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    ASSERT_EQ(read.shape()[i], before[static_cast<size_t>(permutation[i])]);
  }
  const auto values = read.data<float>();
  size_t wrong = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const auto wanted = static_cast<float>(static_cast<int64_t>(source_of(i, before, permutation)) % modulus);
    wrong += values[i] == wanted ? 0 : 1;
  }
  EXPECT_EQ(wrong, 0U);
}

TEST(ViewedData, ReadsWhatTransposeMakes) {
  const std::vector<std::pair<Shape, std::vector<int64_t>>> cases{
      {{700, 600}, {1, 0}},
      {{30, 40, 300}, {0, 2, 1}},
      {{30, 40, 300}, {2, 0, 1}},
      {{30, 40, 300}, {2, 1, 0}},
      {{64, 48, 11, 13}, {3, 2, 0, 1}},
      {{64, 48, 11, 13}, {1, 0, 3, 2}},
      {{4, 5, 6, 7, 400}, {4, 2, 3, 1, 0}},
      {{1, 600, 700}, {1, 0, 2}},
      {{600, 1, 700}, {0, 2, 1}},
  };
  for (const auto& [shape, permutation] : cases) {
    SCOPED_TRACE(shape_text(shape));
    const test::TempFolder folder;
    onnx::TensorProto tensor = stored(folder, shape);
    ASSERT_TRUE(can_be_viewed(tensor));
    transpose_external(tensor, permutation);
    const ExternalData data(folder.path());
    expect_transposed(data.tensor(tensor), shape, permutation);
  }
}

// Beyond 16 MB the result lies in a file, which is made once.
TEST(ViewedData, LargeResultsAreReadAgainAndAgain) {
  const test::TempFolder folder;
  const Shape shape{3000, 1500};
  onnx::TensorProto tensor = stored(folder, shape);
  transpose_external(tensor, std::vector<int64_t>{1, 0});
  const ExternalData data(folder.path());
  for (int i = 0; i < 3; ++i) {
    expect_transposed(data.tensor(tensor), shape, {1, 0});
    data.release();
  }
}

TEST(ViewedData, ViewsOfViews) {
  const test::TempFolder folder;
  onnx::TensorProto tensor = stored(folder, {600, 800});
  transpose_external(tensor, std::vector<int64_t>{1, 0});
  reshape_external(tensor, {8, 100, 600});
  transpose_external(tensor, std::vector<int64_t>{2, 0, 1});
  const ExternalData data(folder.path());
  const Tensor read = data.tensor(tensor);
  EXPECT_EQ(read.shape(), (Shape{600, 8, 100}));  // which is the file's order again
  const auto values = read.data<float>();
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<float>(i));
}

TEST(ViewedData, HalvesAreTransposedAndWidened) {
  const test::TempFolder folder;
  const Shape shape{1000, 900};
  onnx::TensorProto tensor = stored(folder, shape, /*half=*/true);
  widen_external(tensor);
  transpose_external(tensor, std::vector<int64_t>{1, 0});
  const ExternalData data(folder.path());
  expect_transposed(data.tensor(tensor), shape, {1, 0}, 2048);
}

TEST(ViewedData, AsStoredIsTheFilesOrder) {
  const test::TempFolder folder;
  onnx::TensorProto tensor = stored(folder, {700, 600});
  transpose_external(tensor, std::vector<int64_t>{1, 0});
  const Tensor read = ExternalData(folder.path()).tensor(as_stored(tensor));
  EXPECT_EQ(read.shape(), (Shape{420000}));
  const auto values = read.data<float>();
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], static_cast<float>(i));
}

TEST(ViewedData, SmallOrEmbeddedTensorsAreNotViewed) {
  const test::TempFolder folder;
  EXPECT_FALSE(can_be_viewed(stored(folder, {30, 40})));
  onnx::TensorProto embedded;
  embedded.set_data_type(onnx::TensorProto::FLOAT);
  embedded.add_dims(1 << 20);
  EXPECT_FALSE(can_be_viewed(embedded));
}

// A file may have a key of our name.
TEST(ViewedData, RefusesWhatIsNoSwap) {
  const test::TempFolder folder;
  for (const std::string text : {"", "1,2", "1,700,600,0", "1,700,601,1", "1,700,600,1,1", "a,b,c,d",
                                 "18446744073709551615,18446744073709551615,1,1"}) {
    onnx::TensorProto tensor = stored(folder, {700, 600});
    auto* entry = tensor.add_external_data();
    entry->set_key("narrow_swap");
    entry->set_value(text);
    try {
      ExternalData(folder.path()).tensor(tensor);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kModel) << text;
    }
  }
}

}  // namespace
}  // namespace narrow::graph
