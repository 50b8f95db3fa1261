// Inputs that are no arrays of numbers: strings, sequences, optionals, none at all.
#include <gtest/gtest.h>

#include "calib/data_reader.h"
#include "lib/graph/model.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

using graph::ValueForm;

const InputSpec kText{"t", DataType::kString, Shape{-1, 2}};
const InputSpec kSequence{.name = "s", .type = DataType::kFloat32, .shape = std::nullopt, .form = ValueForm::kSequence};
const InputSpec kOptional{.name = "o", .type = DataType::kFloat32, .shape = Shape{2}, .form = ValueForm::kOptional};

std::string tensor_file(const Tensor& tensor) {
  return graph::value_bytes("", tensor, ValueForm::kTensor);
}

class ValuesTest : public testing::Test {
 protected:
  std::unique_ptr<DataReader> open(const InputSpec& spec) const { return open_data(folder_.path(), {spec}, {}); }
  std::string refused(const InputSpec& spec) const {
    std::string message = data_error([&] { open(spec)->read(0); });
    const std::string folder = folder_.path().string();
    const size_t at = message.find(folder);
    return at == std::string::npos ? message : message.replace(at, folder.size(), "DIR");
  }

  const TestFolder folder_;
};

TEST_F(ValuesTest, StringsOfAProto) {
  folder_.file("input_0.pb", tensor_file(Tensor::of_strings({1, 2}, {"a", "B\xC3\xA9"})));
  const exec::Feed feed = open(kText)->read(0);
  EXPECT_EQ(feed.at("t").shape(), (Shape{1, 2}));
  EXPECT_EQ(feed.at("t").strings(), (std::vector<std::string>{"a", "B\xC3\xA9"}));
  EXPECT_EQ(refused({"x", DataType::kFloat32, Shape{-1, 2}}),
            "'DIR/input_0.pb': input 'x': the data are string, the input wants float32");
}

// np.save of np.array([["a", "日é"], ["", "b"]]): UTF-32, filled up with zeros.
TEST_F(ValuesTest, StringsOfNumpyAreRows) {
  const std::string elements = bytes_of<uint32_t>({'a', 0, 0x65E5, 0xE9, 0, 0, 'b', 0});
  folder_.file("t.npy", npy("<U2", "(2, 2)", elements));
  const auto data = open(kText);
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->read(0).at("t").strings(), (std::vector<std::string>{"a", "\xE6\x97\xA5\xC3\xA9"}));
  EXPECT_EQ(data->read(1).at("t").strings(), (std::vector<std::string>{"", "b"}));
  folder_.file("t.npy", npy("<U2", "(2, 2)", elements, "True"));  // Fortran order
  EXPECT_EQ(open(kText)->read(1).at("t").strings(), (std::vector<std::string>{"\xE6\x97\xA5\xC3\xA9", "b"}));
  folder_.file("t.npy", npy("|S3", "(1, 2)", std::string("abcd\0\0", 6)));
  EXPECT_EQ(open(kText)->read(0).at("t").strings(), (std::vector<std::string>{"abc", "d"}));
}

TEST_F(ValuesTest, BrokenStringsOfNumpyAreRefused) {
  folder_.file("t.npy", npy("<U1", "(1, 2)", bytes_of<uint32_t>({'a', 0xD800})));
  EXPECT_EQ(refused(kText), "'DIR/t.npy': element 1 holds 0xd800, which is no character");
  folder_.file("t.npy", npy("<U2", "(1, 2)", "abcd"));
  EXPECT_EQ(refused(kText), "'DIR/t.npy': has 4 bytes of elements, its shape [1,2] of string needs 16");
  folder_.file("t.npy", npy("<U0", "(1000000000000,)", ""));
  EXPECT_EQ(refused(kText), "'DIR/t.npy': element type '<U0' is not supported");
  folder_.file("t.npy", npy("|O", "(1, 2)", "pickled"));
  EXPECT_EQ(refused(kText),
            "'DIR/t.npy': elements are pickled Python objects, which are not supported; strings are '<U' arrays");
}

TEST_F(ValuesTest, ASequenceIsReadAsOne) {
  const Tensor two = Tensor::of_sequence({Tensor::scalar(1.0F), Tensor::of<float>({2}, {2, 3})});
  folder_.file("input_0.pb", graph::value_bytes("", two, ValueForm::kSequence));
  const exec::Feed feed = open(kSequence)->read(0);
  ASSERT_EQ(feed.at("s").type(), DataType::kSequence);
  EXPECT_EQ(feed.at("s").sequence()[1].data<float>()[1], 3);
  InputSpec other = kSequence;
  other.type = DataType::kInt64;
  EXPECT_EQ(refused(other), "'DIR/input_0.pb': input 's': holds elements of float32, the input wants int64");
  folder_.file("input_0.pb", tensor_file(Tensor::of<float>({2}, {2, 3})));
  EXPECT_EQ(refused(kSequence), "'DIR/input_0.pb': not an ONNX sequence");
}

TEST_F(ValuesTest, ASequenceIsInNoArrayFile) {
  folder_.file("s.npy", npy("<f4", "(2,)", bytes_of<float>({1, 2})));
  EXPECT_EQ(refused(kSequence),
            "'DIR/s.npy': input 's': the data are float32, the input is a sequence, which only .pb files hold");
}

TEST_F(ValuesTest, AnOptionalIsEmptyOrItsValue) {
  folder_.file("input_0.pb", graph::value_bytes("", Tensor::empty_optional(), ValueForm::kOptional));
  EXPECT_EQ(open(kOptional)->read(0).at("o").type(), DataType::kEmptyOptional);
  folder_.file("input_0.pb", graph::value_bytes("", Tensor::of<float>({2}, {4, 5}), ValueForm::kOptional));
  EXPECT_EQ(open(kOptional)->read(0).at("o").data<float>()[1], 5);
  folder_.file("input_0.pb", graph::value_bytes("", Tensor::of<float>({3}, {4, 5, 6}), ValueForm::kOptional));
  EXPECT_EQ(refused(kOptional),
            "'DIR/input_0.pb': input 'o': the data have shape [3], which does not fit the input's [2]");
  InputSpec of_sequences = kOptional;
  of_sequences.of_sequences = true;
  of_sequences.shape.reset();
  const Tensor one = Tensor::of_sequence({Tensor::scalar(1.0F)});
  folder_.file("input_0.pb", graph::value_bytes("", one, ValueForm::kOptional));
  EXPECT_EQ(open(of_sequences)->read(0).at("o").sequence().size(), 1U);
  EXPECT_EQ(refused(kOptional), "'DIR/input_0.pb': input 'o': the data are sequence, the input wants float32");
}

// The bytes of a sequence are tried as a tensor too while the name in them is looked for.
TEST_F(ValuesTest, TheNameInAFileTellsItsInputWhateverTheForms) {
  const InputSpec number{"n", DataType::kInt64, Shape{}};
  folder_.file("input_0.pb",
               graph::value_bytes("s", Tensor::of_sequence({Tensor::scalar(1.0F)}), ValueForm::kSequence));
  folder_.file("input_1.pb", graph::value_bytes("n", Tensor::scalar<int64_t>(7), ValueForm::kTensor));
  const auto data = open_data(folder_.path(), {number, kSequence}, {});
  EXPECT_EQ(data->read(0).at("n").data<int64_t>()[0], 7);
  EXPECT_EQ(data->read(0).at("s").sequence().size(), 1U);
}

TEST_F(ValuesTest, AModelWithoutInputsIsFedNothing) {
  folder_.file("test_data_set_0/output_0.pb", "not looked at");
  folder_.file("test_data_set_1/output_0.pb", "not looked at");
  const auto data = open_data(folder_.path(), {}, {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_TRUE(data->read(1).empty());
  folder_.file("test_data_set_1/input_0.pb", "of another model");
  const std::string message = data_error([&] { open_data(folder_.path(), {}, {}); });
  EXPECT_TRUE(message.ends_with("test_data_set_1': the model has no inputs to feed")) << message;
}

}  // namespace
}  // namespace narrow::calib
