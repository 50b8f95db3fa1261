#include "calib/readers/image_file.h"

#include <cstdio>  // jpeglib.h needs it first

#include <gtest/gtest.h>
#include <jpeglib.h>
#include <png.h>

#include "calib/readers/array_file.h"
#include "tests/calib/files.h"

namespace narrow::calib {
namespace {

/// A JPEG of one colour; `pixel` has a value for each component of `space`.
std::string jpeg(int width, int height, J_COLOR_SPACE space, const std::vector<uint8_t>& pixel) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = static_cast<int>(pixel.size());
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row;
  for (int x = 0; x < width; ++x) row.insert(row.end(), pixel.begin(), pixel.end());
  for (int y = 0; y < height; ++y) {
    JSAMPROW rows[] = {row.data()};
    jpeg_write_scanlines(&info, rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::string text(reinterpret_cast<const char*>(buffer), size);
  std::free(buffer);
  return text;
}

/// Two pixels, one above the other.
std::string png(png_uint_32 format, const void* pixels, const void* colormap = nullptr, png_uint_32 colors = 0) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = 1;
  image.height = 2;
  image.format = format;
  image.colormap_entries = colors;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels, 0, colormap);
  std::string text(size, '\0');
  EXPECT_NE(png_image_write_to_memory(&image, text.data(), &size, 0, pixels, 0, colormap), 0) << image.message;
  return text;
}

Image read(std::string_view name, std::string_view content) {
  const TestFolder folder;
  return read_image(folder.file(name, content));
}

std::string refused(std::string_view content) {
  const TestFolder folder;
  const auto path = folder.file("a.jpg", content);
  const std::string message = data_error([&] { read_image(path); });
  EXPECT_TRUE(message.starts_with(quoted(path) + ": ")) << message;
  return message.substr(std::min(message.size(), quoted(path).size() + 2));
}

void expect_near(const Image& image, const std::vector<int>& pixel) {
  ASSERT_EQ(image.channels, 3);
  ASSERT_EQ(image.pixels.size(), static_cast<size_t>(image.height * image.width * 3));
  for (size_t i = 0; i < image.pixels.size(); ++i) EXPECT_NEAR(image.pixels[i], pixel[i % 3], 2);
}

TEST(ImageFileTest, ReadsJpegInColourAndGray) {
  const Image color = read("a.jpg", jpeg(5, 3, JCS_RGB, {200, 100, 50}));
  EXPECT_EQ(color.width, 5);
  EXPECT_EQ(color.height, 3);
  expect_near(color, {200, 100, 50});
  expect_near(read("a.jpg", jpeg(5, 3, JCS_GRAYSCALE, {77})), {77, 77, 77});
}

TEST(ImageFileTest, TheBytesTellTheFormatNotTheName) {
  const std::vector<uint8_t> pixels{1, 2, 3, 250, 251, 252};
  EXPECT_EQ(read("a.jpg", png(PNG_FORMAT_RGB, pixels.data())).pixels, pixels);
}

TEST(ImageFileTest, EachPngBecomesRgb) {
  const std::vector<uint8_t> gray{7, 200};
  EXPECT_EQ(read("a.png", png(PNG_FORMAT_GRAY, gray.data())).pixels, (std::vector<uint8_t>{7, 7, 7, 200, 200, 200}));
  const std::vector<uint8_t> transparent{10, 20, 30, 0, 40, 50, 60, 128};
  EXPECT_EQ(read("a.png", png(PNG_FORMAT_RGBA, transparent.data())).pixels,
            (std::vector<uint8_t>{10, 20, 30, 40, 50, 60}));
  const std::vector<uint8_t> indices{1, 0};
  const std::vector<uint8_t> palette{1, 2, 3, 9, 8, 7};
  EXPECT_EQ(read("a.png", png(PNG_FORMAT_RGB_COLORMAP, indices.data(), palette.data(), 2)).pixels,
            (std::vector<uint8_t>{9, 8, 7, 1, 2, 3}));
}

// 16-bit linear samples of 0 and 65535 are stored as they are, and their upper bytes are kept.
TEST(ImageFileTest, SixteenBitsBecomeEight) {
  const std::vector<uint16_t> pixels{65535, 0, 0, 0, 0, 65535};
  EXPECT_EQ(read("a.png", png(PNG_FORMAT_LINEAR_RGB, pixels.data())).pixels,
            (std::vector<uint8_t>{255, 0, 0, 0, 0, 255}));
}

TEST(ImageFileTest, RefusesWhatIsNoImage) {
  EXPECT_EQ(refused("hello"), "neither a JPEG nor a PNG file");
  EXPECT_EQ(refused(""), "neither a JPEG nor a PNG file");
  EXPECT_EQ(refused("\xFF\xD8 and then text"), "not a readable JPEG: Premature end of JPEG file");
  EXPECT_EQ(refused("\x89PNG and then text"), "not a readable PNG: Not a PNG file");
}

TEST(ImageFileTest, RefusesTruncatedFilesWhereverTheyEnd) {
  const std::string whole_jpeg = jpeg(64, 64, JCS_RGB, {200, 100, 50});
  EXPECT_EQ(refused(whole_jpeg.substr(0, whole_jpeg.size() - 20)), "not a readable JPEG: Premature end of JPEG file");
  const std::vector<uint8_t> pixels{1, 2, 3, 4, 5, 6};
  const std::string whole_png = png(PNG_FORMAT_RGB, pixels.data());
  EXPECT_EQ(refused(whole_png.substr(0, whole_png.size() - 14)), "not a readable PNG: the file is truncated");
  for (size_t size = 2; size + 2 < whole_jpeg.size(); size += 7) EXPECT_NE(refused(whole_jpeg.substr(0, size)), "");
  for (size_t size = 4; size < whole_png.size(); ++size) EXPECT_NE(refused(whole_png.substr(0, size)), "");
}

TEST(ImageFileTest, RefusesCmyk) {
  EXPECT_EQ(refused(jpeg(8, 8, JCS_CMYK, {1, 2, 3, 4})), "a CMYK JPEG, which is not supported; convert it to RGB");
}

}  // namespace
}  // namespace narrow::calib
