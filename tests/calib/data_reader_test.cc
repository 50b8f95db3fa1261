#include "calib/data_reader.h"

#include <gtest/gtest.h>
#include <png.h>

#include <cmath>
#include <limits>

#include "lib/graph/model.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

std::vector<InputSpec> one_input(DataType type, Shape shape) {
  return {{"x", type, std::move(shape)}};
}

std::vector<float> floats(const exec::Feed& feed, const std::string& name = "x") {
  const auto values = feed.at(name).data<float>();
  return {values.begin(), values.end()};
}

std::vector<float> counting(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

std::string png_of(uint32_t width, uint32_t height, const std::vector<uint8_t>& rgb) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, rgb.data(), 0, nullptr);
  std::string text(size, '\0');
  png_image_write_to_memory(&image, text.data(), &size, 0, rgb.data(), 0, nullptr);
  return text;
}

class DataReaderTest : public testing::Test {
 protected:
  /// The message for this data, with the folder's path spelled "DIR".
  std::string refused(const std::filesystem::path& path, const std::vector<InputSpec>& inputs,
                      const InputConfig& config = {}, ErrorKind kind = ErrorKind::kData) const {
    std::string message = message_of(kind, [&] {
      const auto data = open_data(path, inputs, config);
      for (int64_t i = 0; i < data->size(); ++i) data->read(i);
    });
    const std::string folder = folder_.path().string();
    for (size_t at = message.find(folder); at != std::string::npos; at = message.find(folder)) {
      message.replace(at, folder.size(), "DIR");
    }
    return message;
  }

  std::filesystem::path floats_file(std::string_view name, std::string_view shape, size_t count) const {
    return folder_.file(name, npy("<f4", shape, bytes_of(counting(count))));
  }

  TestFolder folder_;
};

TEST_F(DataReaderTest, TheFirstAxisIsSamples) {
  const auto path = floats_file("a.npy", "(3, 2)", 6);
  for (const int64_t batch : {-1, 1}) {
    const auto data = open_data(path, one_input(DataType::kFloat32, {batch, 2}), {});
    ASSERT_EQ(data->size(), 3);
    EXPECT_EQ(data->read(2).at("x").shape(), (Shape{1, 2}));
    EXPECT_EQ(floats(data->read(2)), (std::vector<float>{4, 5}));
    EXPECT_EQ(data->source(2), fmt::format("'{}'[2]", path.string()));
  }
}

TEST_F(DataReaderTest, AFixedBatchTakesThatManySamples) {
  const auto path = floats_file("a.npy", "(6, 2)", 12);
  const auto data = open_data(path, one_input(DataType::kFloat32, {3, 2}), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->samples(), 6);
  EXPECT_EQ(floats(data->read(1)), (std::vector<float>{6, 7, 8, 9, 10, 11}));
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {4, 2})),
            "'DIR/a.npy': input 'x': 6 samples are no multiple of the input's batch of 4");
}

TEST_F(DataReaderTest, OneMoreAxisThanTheInputHoldsInputs) {
  const auto path = floats_file("a.npy", "(3, 1, 2)", 6);
  const auto data = open_data(path, one_input(DataType::kFloat32, {1, 2}), {});
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(data->read(1).at("x").shape(), (Shape{1, 2}));
}

TEST_F(DataReaderTest, RefusesWhatDoesNotFit) {
  const auto path = floats_file("a.npy", "(3, 2)", 6);
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {-1, 5})),
            "'DIR/a.npy': input 'x': the data have shape [3,2], which does not fit the input's [?,5]");
  EXPECT_EQ(refused(path, one_input(DataType::kInt64, {-1, 2})),
            "'DIR/a.npy': input 'x': the data are float32, the input wants int64");
  EXPECT_EQ(refused(floats_file("e.npy", "(0, 2)", 0), one_input(DataType::kFloat32, {-1, 2})),
            "'DIR/e.npy': input 'x': the data have no samples: shape [0,2]");
  EXPECT_EQ(refused(folder_ / "none.npy", one_input(DataType::kFloat32, {-1, 2})),
            "'DIR/none.npy': no such file or folder");
  EXPECT_EQ(refused(folder_.file("a.gif", ""), one_input(DataType::kFloat32, {-1, 2})),
            "'DIR/a.gif': a file of unknown kind; data are .npy, .npz, .pb, .bin, .jpg, .png");
}

TEST_F(DataReaderTest, RefusesNanNamingTheSample) {
  std::vector<float> values = counting(6);
  values[3] = std::numeric_limits<float>::quiet_NaN();
  const auto path = folder_.file("a.npy", npy("<f4", "(3, 2)", bytes_of(values)));
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {-1, 2})),
            "'DIR/a.npy': input 'x': sample 1 holds NaN or infinity");
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {3, 2})),
            "'DIR/a.npy': input 'x': sample 1 holds NaN or infinity");
  const auto data = open_data(path, one_input(DataType::kFloat32, {-1, 2}), {});
  EXPECT_EQ(floats(data->read(2)), (std::vector<float>{4, 5}));
}

TEST_F(DataReaderTest, ConvertsWhatLosesNothing) {
  const auto bytes = folder_.file("u.npy", npy("|u1", "(1, 2)", bytes_of<uint8_t>({0, 255})));
  EXPECT_EQ(floats(open_data(bytes, one_input(DataType::kFloat32, {-1, 2}), {})->read(0)),
            (std::vector<float>{0, 255}));
  const auto doubles = folder_.file("d.npy", npy("<f8", "(1, 2)", bytes_of<double>({0.1, -2})));
  EXPECT_EQ(floats(open_data(doubles, one_input(DataType::kFloat32, {-1, 2}), {})->read(0)),
            (std::vector<float>{0.1F, -2}));
  const auto ints = folder_.file("i.npy", npy("<i4", "(1, 2)", bytes_of<int32_t>({7, -2})));
  EXPECT_EQ(open_data(ints, one_input(DataType::kInt64, {-1, 2}), {})->read(0).at("x").data<int64_t>()[1], -2);
  const auto wide = folder_.file("w.npy", npy("<i8", "(1, 2)", bytes_of<int64_t>({16777216, -16777217})));
  EXPECT_EQ(open_data(wide, one_input(DataType::kInt32, {-1, 2}), {})->read(0).at("x").data<int32_t>()[1], -16777217);
  EXPECT_EQ(refused(wide, one_input(DataType::kFloat32, {-1, 2})),
            "'DIR/w.npy': input 'x': element 1 is -16777217, which float32 can not hold exactly");
  EXPECT_EQ(refused(wide, one_input(DataType::kUint8, {-1, 2})),
            "'DIR/w.npy': input 'x': element 0 is 16777216, which uint8 can not hold exactly");
  const auto masks = folder_.file("m.npy", npy("|b1", "(1, 2)", std::string("\1\0", 2)));
  EXPECT_EQ(floats(open_data(masks, one_input(DataType::kFloat32, {-1, 2}), {})->read(0)), (std::vector<float>{1, 0}));
  // In float16, 0x3C00 is 1 and 0xC100 is -2.5.
  const auto halves = folder_.file("h.npy", npy("<f2", "(1, 2)", bytes_of<uint16_t>({0x3C00, 0xC100})));
  EXPECT_EQ(floats(open_data(halves, one_input(DataType::kFloat32, {-1, 2}), {})->read(0)),
            (std::vector<float>{1, -2.5F}));
}

TEST_F(DataReaderTest, ShortFloatInputsTakeFloat32Data) {
  const auto path = folder_.file("f.npy", npy("<f4", "(1, 2)", bytes_of<float>({0.1F, -2})));
  const auto read = [&](DataType type, const InputOptions& options) {
    return open_data(path, one_input(type, {-1, 2}), {{"x", options}})->read(0).at("x");
  };
  const Tensor half = read(DataType::kFloat16, {});
  EXPECT_EQ(half.type(), DataType::kFloat16);
  EXPECT_EQ(floats({{"x", to_float32(half)}}), (std::vector<float>{0.0999755859375F, -2}));
  // Normalized in float32, then rounded: 0.1 - 0.05 has the nearest bfloat16 0.0500488.
  const Tensor brain = read(DataType::kBfloat16, {.mean = {0.05}});
  EXPECT_EQ(floats({{"x", to_float32(brain)}}), (std::vector<float>{0.050048828125F, -2.046875F}));
}

TEST_F(DataReaderTest, ShortFloatInputsTakeWholeNumbersThatTheyHold) {
  const auto path = folder_.file("i.npy", npy("<i8", "(1, 2)", bytes_of<int64_t>({2048, 2049})));
  EXPECT_EQ(refused(path, one_input(DataType::kFloat16, {-1, 2})),
            "'DIR/i.npy': input 'x': element 1 is 2049, which float16 can not hold exactly");
  const auto small = folder_.file("s.npy", npy("<i8", "(1, 2)", bytes_of<int64_t>({256, 257})));
  EXPECT_EQ(refused(small, one_input(DataType::kBfloat16, {-1, 2})),
            "'DIR/s.npy': input 'x': element 1 is 257, which bfloat16 can not hold exactly");
  EXPECT_EQ(open_data(small, one_input(DataType::kFloat16, {-1, 2}), {})->read(0).at("x").type(), DataType::kFloat16);
  // What is normalized need not be whole.
  open_data(path, one_input(DataType::kFloat16, {-1, 2}), {{"x", {.scale = 1.0 / 2049}}})->read(0);
}

TEST_F(DataReaderTest, NormalizesInFloat32) {
  const auto path = folder_.file("u.npy", npy("|u1", "(1, 2)", bytes_of<uint8_t>({0, 200})));
  const InputConfig config{{"x", {.scale = 1.0 / 255, .mean = {0.485}, .std = {0.229}}}};
  const auto values = floats(open_data(path, one_input(DataType::kFloat32, {-1, 2}), config)->read(0));
  // numpy: (np.float32([0, 200]) * np.float32(1/255) - np.float32(0.485)) / np.float32(0.229)
  EXPECT_EQ(values[0], (0.0F - 0.485F) / 0.229F);
  EXPECT_EQ(values[1], (200.0F * static_cast<float>(1.0 / 255) - 0.485F) / 0.229F);
}

// Two pixels side by side, RGB 1 2 3 and 4 5 6.
TEST_F(DataReaderTest, ImagesOfChannelsLastFeedAnNchwInputWithALayout) {
  const auto path = folder_.file("u.npy", npy("|u1", "(1, 1, 2, 3)", bytes_of<uint8_t>({1, 2, 3, 4, 5, 6})));
  const auto input = one_input(DataType::kFloat32, {-1, 3, 1, 2});
  const auto read = [&](const InputOptions& options) {
    return floats(open_data(path, input, {{"x", options}})->read(0));
  };
  EXPECT_EQ(read({.layout = "NCHW"}), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(read({.color = "BGR", .layout = "NCHW"}), (std::vector<float>{3, 6, 2, 5, 1, 4}));
  EXPECT_EQ(read({.layout = "NCHW", .scale = 2, .mean = {1, 2, 3}, .std = {1, 2, 1}}),
            (std::vector<float>{1, 7, 1, 4, 3, 9}));
  EXPECT_EQ(refused(path, input),
            "'DIR/u.npy': input 'x': the data have shape [1,1,2,3], the input [?,3,1,2]; set the input's 'layout' to "
            "'NCHW' if the data are NHWC images");
}

TEST_F(DataReaderTest, FloatImagesAreTransposedAndNormalizedToo) {
  const auto path = folder_.file("f.npy", npy("<f4", "(1, 1, 2, 3)", bytes_of<float>({1, 2, 3, 4, 5, 6})));
  const auto input = one_input(DataType::kFloat32, {-1, 3, 1, 2});
  EXPECT_EQ(floats(open_data(path, input, {{"x", {.layout = "NCHW"}}})->read(0)),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(floats(open_data(path, input, {{"x", {.color = "BGR", .layout = "NCHW", .mean = {1, 0, 0}}}})->read(0)),
            (std::vector<float>{2, 5, 2, 5, 1, 4}));
  EXPECT_EQ(refused(path, input, {{"x", {.resize = {{2}}, .layout = "NCHW"}}}),
            "'DIR/f.npy': input 'x': 'resize', 'multiple', 'crop' and 'GRAY' need uint8 images, the data are float32 "
            "[1,1,2,3]");
}

TEST_F(DataReaderTest, GrayImagesNeedNoChannelAxis) {
  const auto path = folder_.file("u.npy", npy("|u1", "(2, 1, 2)", bytes_of<uint8_t>({1, 2, 3, 4})));
  const auto data = open_data(path, one_input(DataType::kFloat32, {1, 1, 1, 2}), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->read(1).at("x").shape(), (Shape{1, 1, 1, 2}));
  EXPECT_EQ(floats(data->read(1)), (std::vector<float>{3, 4}));
}

TEST_F(DataReaderTest, AUint8InputGetsPixelsAsTheyAre) {
  const auto path = folder_.file("u.npy", npy("|u1", "(1, 1, 2, 3)", bytes_of<uint8_t>({1, 2, 3, 4, 5, 6})));
  const auto feed = open_data(path, one_input(DataType::kUint8, {1, 1, 2, 3}), {})->read(0);
  EXPECT_EQ(feed.at("x").data<uint8_t>()[4], 5);
  EXPECT_EQ(refused(path, one_input(DataType::kUint8, {1, 1, 2, 3}), {{"x", {.scale = 2}}}, ErrorKind::kUsage),
            "input 'x': 'scale, mean, std' need a float32 input, this one is uint8");
}

TEST_F(DataReaderTest, OptionsMustSuitTheInput) {
  const auto path = floats_file("a.npy", "(3, 2)", 6);
  const auto input = one_input(DataType::kFloat32, {-1, 2});
  EXPECT_EQ(refused(path, input, {{"y", {}}}, ErrorKind::kUsage),
            "inputs.y: the model has no such input; did you mean 'x'?; its inputs are x");
  EXPECT_EQ(refused(path, input, {{"x", {.resize = {{4}}}}}, ErrorKind::kUsage),
            "input 'x': 'resize' needs an image input, this one is float32 [?,2]");
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {-1, 3, 2, 2}), {{"x", {.mean = {1, 2}}}}, ErrorKind::kUsage),
            "input 'x': 'mean' has 2 numbers, and the input has 3 channels");
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {-1, 3, 2, 2}), {{"x", {.color = "GRAY"}}}, ErrorKind::kUsage),
            "input 'x': 'color' is GRAY, and the input has 3 channels");
}

TEST_F(DataReaderTest, AFolderOfImagesIsReadInSortedOrder) {
  folder_.file("i/b.png", png_of(2, 1, {1, 2, 3, 4, 5, 6}));
  folder_.file("i/a.PNG", png_of(2, 1, {11, 12, 13, 14, 15, 16}));
  folder_.file("i/labels.csv", "beside them");
  const auto data = open_data(folder_ / "i", one_input(DataType::kFloat32, {1, 3, 1, 2}), {});
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(floats(data->read(0)), (std::vector<float>{11, 14, 12, 15, 13, 16}));
  EXPECT_EQ(floats(data->read(1)), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(data->files()[0].filename(), "a.PNG");
  const auto batches =
      open_data(folder_ / "i", one_input(DataType::kFloat32, {2, 1, 2, 3}), {{"x", {.layout = "NHWC"}}});
  EXPECT_EQ(batches->size(), 1);
  EXPECT_EQ(floats(batches->read(0)), (std::vector<float>{11, 12, 13, 14, 15, 16, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(refused(folder_ / "i", one_input(DataType::kFloat32, {3, 1, 2, 3}), {{"x", {.layout = "NHWC"}}}),
            "'DIR/i': 2 images are no multiple of the input's batch of 3");
}

TEST_F(DataReaderTest, ImagesAreResizedCroppedAndMadeGray) {
  std::vector<uint8_t> rgb;
  for (int i = 0; i < 4 * 2; ++i) rgb.insert(rgb.end(), {10, 20, 30});
  const auto path = folder_.file("a.png", png_of(4, 2, rgb));
  const InputConfig config{{"x", {.resize = {{4}}, .crop = std::vector<int64_t>{3, 2}, .color = "GRAY"}}};
  const auto feed = open_data(path, one_input(DataType::kFloat32, {1, 1, 3, 2}), config)->read(0);
  // (10 * 19595 + 20 * 38470 + 30 * 7471 + 32768) / 65536 = 18.66
  EXPECT_EQ(floats(feed), std::vector<float>(6, 18));
}

TEST_F(DataReaderTest, ImagesOfAnotherSizeAreRefused) {
  const auto path = folder_.file("a.png", png_of(2, 1, {1, 2, 3, 4, 5, 6}));
  const auto input = one_input(DataType::kFloat32, {1, 3, 8, 9});
  EXPECT_EQ(refused(path, input),
            "'DIR/a.png': input 'x': the image is 1 high and 2 wide, the input wants 8 high and 9 wide; set 'resize' "
            "and 'crop'");
  EXPECT_EQ(refused(path, input, {{"x", {.crop = std::vector<int64_t>{8, 9}}}}),
            "'DIR/a.png': input 'x': the image is 1 high and 2 wide, too small for a crop 8 high and 9 wide");
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {1, 6})),
            "'DIR/a.png': input 'x' is float32 [1,6], which images can not feed; if it is an image, set its 'layout'");
  EXPECT_EQ(refused(folder_.file("t.jpg", "text"), input), "'DIR/t.jpg': neither a JPEG nor a PNG file");
}

TEST_F(DataReaderTest, FoldersThatHoldNoDataOrTwoKindsAreRefused) {
  const auto input = one_input(DataType::kFloat32, {-1, 2});
  std::filesystem::create_directories(folder_ / "e");
  EXPECT_EQ(refused(folder_ / "e", input),
            "'DIR/e': a folder without data; usable are .npy, .npz, .pb, .bin, .jpg, .png, test_data_set_* folders");
  folder_.file("e/readme.txt", "");
  EXPECT_EQ(refused(folder_ / "e", input),
            "'DIR/e': a folder without data; usable are .npy, .npz, .pb, .bin, .jpg, .png, test_data_set_* folders");
  floats_file("e/a.npy", "(3, 2)", 6);
  folder_.file("e/b.npz", "");
  EXPECT_EQ(refused(folder_ / "e", input), "'DIR/e': a folder with data of several kinds: 'a.npy' and 'b.npz'");
  folder_.file("e/c.xyz", "");
  EXPECT_EQ(refused(folder_ / "e", input),
            "'DIR/e/c.xyz': a file of unknown kind; data are .npy, .npz, .pb, .bin, .jpg, .png");
}

TEST_F(DataReaderTest, AFolderOfArraysJoinsTheirSamples) {
  floats_file("f/b.npy", "(1, 2)", 2);
  floats_file("f/a.npy", "(3, 2)", 6);
  const auto data = open_data(folder_ / "f", one_input(DataType::kFloat32, {-1, 2}), {});
  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(floats(data->read(2)), (std::vector<float>{4, 5}));
  EXPECT_EQ(floats(data->read(3)), (std::vector<float>{0, 1}));
  EXPECT_EQ(data->source(3), fmt::format("'{}'", (folder_ / "f/b.npy").string()));
}

TEST_F(DataReaderTest, SeveralInputsComeFromFilesOfTheirNames) {
  floats_file("f/x.npy", "(3, 2)", 6);
  floats_file("f/y.npy", "(3, 1)", 3);
  const std::vector<InputSpec> inputs{{"x", DataType::kFloat32, Shape{-1, 2}}, {"y", DataType::kFloat32, Shape{-1, 1}}};
  const auto data = open_data(folder_ / "f", inputs, {});
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(floats(data->read(2), "y"), (std::vector<float>{2}));
  EXPECT_EQ(refused(floats_file("a.npy", "(3, 2)", 6), inputs),
            "'DIR/a.npy': one array, and the model has 2 inputs; use a .npz with an array for each");
  floats_file("f/y.npy", "(4, 1)", 4);
  EXPECT_EQ(refused(folder_ / "f", inputs), "'DIR/f': input 'x' has 3 samples, input 'y' has 4");
}

// A speech model takes any number of windows of one recording, and a state for it.
TEST_F(DataReaderTest, AFreeFirstAxisIsNotSamplesWhereAFixedOneSaysOneFeed) {
  const std::vector<InputSpec> inputs{{"x", DataType::kFloat32, Shape{-1, 2}}, {"h", DataType::kFloat32, Shape{1, 3}}};
  floats_file("a/x.npy", "(4, 2)", 8);
  floats_file("a/h.npy", "(1, 3)", 3);
  const auto data = open_data(folder_ / "a", inputs, {});
  EXPECT_EQ(data->size(), 1);
  EXPECT_EQ(data->read(0).at("x").shape(), (Shape{4, 2}));
  EXPECT_EQ(data->read(0).at("h").shape(), (Shape{1, 3}));
  floats_file("a/h.npy", "(4, 3)", 12);
  EXPECT_EQ(open_data(folder_ / "a", inputs, {})->size(), 4) << "a state for each window";
  floats_file("a/h.npy", "(2, 3)", 6);
  EXPECT_EQ(refused(folder_ / "a", inputs), "'DIR/a': input 'x' has 4 samples, input 'h' has 2");
}

TEST_F(DataReaderTest, DataSetsComeInTheOrderOfTheirNumbers) {
  for (int i = 0; i < 12; ++i) {
    folder_.file(fmt::format("m/test_data_set_{}/input_0.pb", i),
                 graph::tensor_proto("", Tensor::of<float>({1}, {static_cast<float>(i)})).SerializeAsString());
  }
  const auto reader = open_data(folder_ / "m", {{.name = "x", .shape = Shape{1}}}, {});
  ASSERT_EQ(reader->size(), 12);
  for (int i = 0; i < 12; ++i) EXPECT_EQ(reader->read(i).at("x").data<float>()[0], static_cast<float>(i));
}

TEST_F(DataReaderTest, TensorProtosAreFedAsTheyAre) {
  const std::vector<InputSpec> inputs{{"x", DataType::kFloat32, Shape{-1, 2}}, {"y", DataType::kFloat32, Shape{}}};
  const auto proto = [](std::string_view name, const Tensor& tensor) {
    return graph::tensor_proto(name, tensor).SerializeAsString();
  };
  for (const std::string set : {"m/test_data_set_0", "m/test_data_set_1"}) {
    folder_.file(set + "/input_0.pb", proto("y", Tensor::scalar(5.0F)));  // its name tells, not its position
    folder_.file(set + "/input_1.pb", proto("x", Tensor::of<float>({2, 2}, {1, 2, 3, 4})));
    folder_.file(set + "/output_0.pb", "not looked at");
  }
  const auto data = open_data(folder_ / "m", inputs, {});
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->read(1).at("x").shape(), (Shape{2, 2}));
  EXPECT_EQ(floats(data->read(1), "y"), (std::vector<float>{5}));
  folder_.file("m/test_data_set_1/input_0.pb", proto("", Tensor::of<float>({2, 2}, {1, 2, 3, 4})));
  EXPECT_EQ(refused(folder_ / "m", inputs), "'DIR/m/test_data_set_1/input_1.pb': a second array for input 'x'");
  folder_.file("m/test_data_set_1/input_1.pb", "garbage");
  EXPECT_EQ(refused(folder_ / "m", inputs), "'DIR/m/test_data_set_1/input_1.pb': not an ONNX tensor");
  std::filesystem::remove(folder_ / "m/test_data_set_1/input_1.pb");
  EXPECT_EQ(refused(folder_ / "m", inputs), "'DIR/m/test_data_set_1': no array for input 'y'");
}

TEST_F(DataReaderTest, RawElementsNeedAFixedShape) {
  const auto path = folder_.file("x.bin", bytes_of(counting(6)));
  const auto data = open_data(path, one_input(DataType::kFloat32, {-1, 2}), {});
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(floats(data->read(1)), (std::vector<float>{2, 3}));
  EXPECT_EQ(refused(path, one_input(DataType::kFloat32, {1, -1})),
            "'DIR/x.bin': raw elements have no shape, and input 'x' is [1,?], not of a fixed one");
}

// numpy: np.round(np.linspace(0, 9, 4)) and so on.
TEST(SpreadSamplesTest, IsEven) {
  EXPECT_EQ(spread_samples(10, 4), (std::vector<int64_t>{0, 3, 6, 9}));
  EXPECT_EQ(spread_samples(10, 3), (std::vector<int64_t>{0, 4, 9}));  // 4.5 rounds to even
  EXPECT_EQ(spread_samples(3, 10), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(spread_samples(5, 1), (std::vector<int64_t>{0}));
  EXPECT_TRUE(spread_samples(0, 4).empty());
}

}  // namespace
}  // namespace narrow::calib
