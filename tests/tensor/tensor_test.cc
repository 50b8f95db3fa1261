#include "lib/tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "lib/base/error.h"

namespace narrow {
namespace {

using testing::ElementsAre;

TEST(TensorTest, ACopyIsAValue) {
  Tensor a = Tensor::of<float>({2}, {1, 2});
  Tensor b = a;
  EXPECT_TRUE(a.shares_storage_with(b));
  EXPECT_FALSE(a.exclusive());
  b.mutable_data<float>()[0] = 9;
  EXPECT_THAT(a.data<float>(), ElementsAre(1, 2));
  EXPECT_THAT(b.data<float>(), ElementsAre(9, 2));
  EXPECT_TRUE(b.exclusive());
}

TEST(TensorTest, ForeignStorageIsCopiedBeforeWriting) {
  const auto storage = std::make_shared<std::vector<float>>(std::vector<float>{1, 2});
  Tensor view(DataType::kFloat32, {2}, Layout::kPlain, storage, reinterpret_cast<const std::byte*>(storage->data()),
              /*writable=*/false);
  view.mutable_data<float>()[0] = 9;
  EXPECT_EQ((*storage)[0], 1);
}

TEST(TensorTest, SequenceIsAValueToo) {
  Tensor a = Tensor::of_sequence({Tensor::scalar(1.0F), Tensor::scalar(2.0F)});
  EXPECT_EQ(a.type(), DataType::kSequence);
  EXPECT_EQ(a.shape(), (Shape{2}));
  Tensor b = a;
  std::vector<Tensor> copied = b.take_sequence();
  EXPECT_FALSE(b.defined());
  copied.pop_back();
  EXPECT_EQ(a.sequence().size(), 2U) << "taken from a copy";
  const std::byte* element = a.sequence()[0].bytes();
  const std::vector<Tensor> moved = a.take_sequence();
  EXPECT_EQ(moved[0].bytes(), element);
  EXPECT_TRUE(moved[1].exclusive());
}

TEST(TensorTest, EmptyOptionalIsDefined) {
  EXPECT_TRUE(Tensor::empty_optional().defined());
  EXPECT_EQ(data_type_name(Tensor::empty_optional().type()), "empty optional");
  EXPECT_THROW(Tensor::empty_optional().sequence(), Error);
}

TEST(TensorTest, ChannelsLastAndBack) {
  // [N=1, C=2, W=3] -> C innermost
  const Tensor plain = Tensor::of<int16_t>({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor last = to_layout(plain, Layout::kChannelsLast);
  EXPECT_THAT(last.data<int16_t>(), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_EQ(last.shape(), plain.shape());
  EXPECT_THAT(to_layout(last, Layout::kPlain).data<int16_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

// Bytes go in blocks of eight, three and four channels apart from all others; the rest of a block one by one.
TEST(TensorTest, ChannelsLastPutsEveryByteInItsPlace) {
  for (const int64_t channels : {1, 3, 4, 8, 21}) {
    const Shape shape{2, channels, 5, 7};
    Tensor plain(DataType::kUint8, shape);
    const auto values = plain.mutable_data<uint8_t>();
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<uint8_t>(i * 7 + i / 256);
    const Tensor last = to_layout(plain, Layout::kChannelsLast);
    const Tensor back = to_layout(last, Layout::kPlain);
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t s = 0; s < 35; ++s) {
          const auto from = static_cast<size_t>((n * channels + c) * 35 + s);
          ASSERT_EQ(last.data<uint8_t>()[static_cast<size_t>((n * 35 + s) * channels + c)], values[from]);
          ASSERT_EQ(back.data<uint8_t>()[from], values[from]);
        }
      }
    }
  }
}

TEST(TensorTest, ChannelsLastOfManyTilesIsItsOwnInverse) {
  Tensor plain(DataType::kFloat32, {2, 37, 5, 7});
  float next = 0;
  for (float& value : plain.mutable_data<float>()) value = next++;
  const Tensor back = to_layout(to_layout(plain, Layout::kChannelsLast), Layout::kPlain);
  EXPECT_EQ(std::memcmp(back.bytes(), plain.bytes(), plain.byte_size()), 0);
}

TEST(TensorTest, ReadingAsAnotherTypeIsAnInternalError) {
  EXPECT_THROW(Tensor::of<float>({1}, {1}).data<int8_t>(), Error);
}

TEST(TensorTest, HalfPrecisionBecomesFloat) {
  // 1.0, -2.0, smallest subnormal, infinity
  const Tensor codes = Tensor::of<uint16_t>({4}, {0x3C00, 0xC000, 0x0001, 0x7C00});
  Tensor half(DataType::kFloat16, {4});
  std::memcpy(half.mutable_bytes(), codes.bytes(), codes.byte_size());
  EXPECT_THAT(to_float32(half).data<float>(), ElementsAre(1.0F, -2.0F, 0x1p-24F, INFINITY));
}

TEST(ShapeTest, OverflowAndNegativeDimensionsAreErrors) {
  EXPECT_THROW(element_count({int64_t{1} << 40, int64_t{1} << 40}), Error);
  EXPECT_THROW(element_count({2, -1}), Error);
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({3, 0}), 0);
  EXPECT_EQ(shape_text({1, -1, 3}), "[1,?,3]");
  EXPECT_EQ(normalize_axis(-1, 3), 2);
  EXPECT_THROW(normalize_axis(3, 3), Error);
}

TEST(DataTypeTest, PackedTypesTakeTheirBits) {
  EXPECT_EQ(storage_bytes(DataType::kInt4, 3), 2U);
  EXPECT_EQ(storage_bytes(DataType::kUint2, 5), 2U);
  EXPECT_EQ(storage_bytes(DataType::kFloat32, 3), 12U);
}

}  // namespace
}  // namespace narrow
